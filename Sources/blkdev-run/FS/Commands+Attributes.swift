// getfattr, setfattr, getfacl, setfacl: attributes and ACLs, in the text of attr(5)'s and acl(5)'s tools.
internal import Ext2
internal import Ext2Format
internal import HostTree
internal import SystemPackage

extension FSCommand {
  static let attributes: [FSCommand] = [
    FSCommand(
      name: "getfattr", usage: "[-dhR] [-n NAME] [-m PATTERN] [-e text|hex|base64] [--only-values] PATH…",
      summary: "List attributes, by default those of user.*; -d with values, -m - all of them.",
      options: [
        .flag("d", "dump"), .flag("h", "no-dereference"), .flag("R", "recursive"), .value("n", "name"),
        .value("m", "match"), .value("e", "encoding"), .flag("only-values"), .flag("absolute-names"),
      ], operandCount: 1...Int.max, access: .reading, run: getAttributes),
    FSCommand(
      name: "setfattr", usage: "[-h] -n NAME [-v VALUE] | -x NAME PATH…",
      summary: "Set or remove an attribute; VALUE is text, 0x… hexadecimal or 0s… base64.",
      options: [.flag("h", "no-dereference"), .value("n", "name"), .value("v", "value"), .value("x", "remove")],
      operandCount: 1...Int.max, access: .writing, run: setAttributes),
    FSCommand(
      name: "getfacl", usage: "[-adcR] PATH…",
      summary: "Show ACLs, by number; -a the access ACL only, -d the default ACL only, -c without the header.",
      options: [
        .flag("a", "access"), .flag("d", "default"), .flag("c", "omit-header"), .flag("R", "recursive"),
        .flag("n", "numeric"), .flag("p", "absolute-names"),
      ], operandCount: 1...Int.max, access: .reading, run: getLists),
    FSCommand(
      name: "setfacl", usage: "[-bkdnR] [-m ACL|-M FILE] [-x ACL|-X FILE] [--set ACL|--set-file FILE] [--mask] PATH…",
      summary:
        "Change ACLs (u:1000:rx,g::r,d:u:5:rwx): -m sets entries, -x removes them, -b and -k remove all, -d default; "
        + "-M, -X take them from a file of this machine, as getfacl prints them.",
      options: [
        .value("m", "modify"), .value("M", "modify-file"), .value("x", "remove"), .value("X", "remove-file"),
        .value("set"), .value("set-file"), .flag("b", "remove-all"),
        .flag("k", "remove-default"), .flag("d", "default"), .flag("n", "no-mask"), .flag("mask"),
        .flag("R", "recursive"),
      ], operandCount: 1...Int.max, access: .writing, run: setLists),
  ]

  /// Visits the files that are named, and with -R what is below them, links not followed there.
  private static func forEachFile(
    _ session: FSSession, _ arguments: VerbArguments, followsLink: Bool = true,
    _ body: (_ node: VolumeNode) async throws(FSError) -> Void
  ) async throws(FSError) {
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      try await session.walk(from: path, followsLink: followsLink && !arguments.has("R")) {
        visit, walk async throws(FSError) in
        switch visit {
        case .leave: break
        case .file(let node): try await body(node)
        case .enter(let node):
          if !arguments.has("R") { walk.skipContents() }
          try await body(node)
        }
      }
    }
  }

  // MARK: Attributes

  private static func getAttributes(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let pattern = arguments.text("m") ?? "^user\\."
    let matcher: Regex<AnyRegexOutput>
    do { matcher = try Regex(pattern == "-" ? "" : pattern) } catch {
      throw .usage("-m \(pattern): a regular expression is wanted, or - for all")
    }
    let encoding = arguments.text("e")
    guard encoding == nil || ["text", "hex", "base64"].contains(encoding) else {
      throw .usage("-e \(encoding ?? ""): there are text, hex, base64")
    }
    let followsLink = !arguments.has("h")
    let volume = try await session.volume(for: .reading)
    try await forEachFile(session, arguments, followsLink: followsLink) { node async throws(FSError) in
      let path = node.path
      let follows = followsLink && !arguments.has("R")
      var names: [[UInt8]]
      if let name = arguments.bytes("n") {
        names = [name]
      } else {
        names = try await at(path) { () async throws(Ext2Error) in
          try await volume.attributeNames(of: path, followsLink: follows)
        }
        names = names.filter { String(decoding: $0, as: UTF8.self).contains(matcher) }
          .sorted { $0.lexicographicallyPrecedes($1) }
      }
      if names.isEmpty { return }
      var lines: [String] = []
      for name in names {
        guard arguments.has("d") || arguments.has("n") || arguments.has("only-values") else {
          lines.append(AttributeText.name(name))
          continue
        }
        let value = try await at(path) { () async throws(Ext2Error) in
          try await volume.attribute(name, of: path, followsLink: follows)
        }
        if arguments.has("only-values") {
          try session.output.write(value)
        } else {
          lines.append("\(AttributeText.name(name))=\(AttributeText.encoded(value, as: encoding))")
        }
      }
      if arguments.has("only-values") { return }
      for line in ["# file: \(AttributeText.name(path))"] + lines + [""] { try session.output.line(line) }
    }
  }

  private static func setAttributes(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let set = arguments.bytes("n"), removed = arguments.bytes("x")
    guard (set == nil) != (removed == nil) else { throw .usage("either -n NAME or -x NAME is needed") }
    guard let value = AttributeText.decoded(arguments.bytes("v") ?? []) else {
      throw .usage("-v: neither text nor 0x… hexadecimal nor 0s… base64")
    }
    let volume = try await session.volume(for: .writing)
    let followsLink = !arguments.has("h")
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      do throws(Ext2Error) {
        if let removed { return try await volume.removeAttribute(removed, of: path, followsLink: followsLink) }
        if let set { try await volume.setAttribute(set, to: value, of: path, followsLink: followsLink) }
      } catch {
        // It is about the file or about the attribute: the message names both, each once.
        let file = ShellWords.quotedIfNeeded(path), name = AttributeText.name(set ?? removed ?? [])
        throw .failed(TreeError(error.reason.hasPrefix(name) ? file : "\(file): \(name)", .volume(error)))
      }
    }
  }

  // MARK: ACLs

  private static func getLists(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .reading)
    try await forEachFile(session, arguments) { node async throws(FSError) in
      let path = node.path, status = node.status
      // As getfacl: a link has no ACL.
      if status.type == .symbolicLink { return }
      var lines: [String] = []
      if !arguments.has("c") {
        lines = ["# file: \(AttributeText.name(path))", "# owner: \(status.user)", "# group: \(status.group)"]
        let special = status.permissions >> 9
        if special != 0 {
          let flags = zip("sst", [4, 2, 1] as [UInt16]).map { special & $1 != 0 ? $0 : "-" }
          lines.append("# flags: \(String(flags))")
        }
      }
      if !arguments.has("d") || arguments.has("a") {
        lines += try await accessList(of: path, status, volume).lines()
      }
      if status.type == .directory, arguments.has("d") || !arguments.has("a") {
        let list = try await at(path) { () async throws(Ext2Error) in
          try await volume.accessControlList(of: path, isDefault: true)
        }
        // With -d alone the prefix goes without saying, as getfacl has it.
        lines += list?.lines(prefix: arguments.has("d") && !arguments.has("a") ? "" : "default:") ?? []
      }
      for line in lines + [""] { try session.output.line(line) }
    }
  }

  /// The access ACL; one of the permissions where there is no other.
  private static func accessList(
    of path: [UInt8], _ status: FileStatus, _ volume: Volume
  ) async throws(FSError) -> AccessControlList {
    let list = try await at(path) { () async throws(Ext2Error) in try await volume.accessControlList(of: path) }
    return list ?? AccessControlList(mode: FileMode(status.type, permissions: status.permissions))
  }

  private static func setLists(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    if session.isScript, ["M", "X", "set-file"].contains(where: { arguments.text($0) == "-" }) {
      throw .usage("standard input is the script already")
    }
    let change = try ListChange(arguments)
    let volume = try await session.volume(for: .writing)
    try await forEachFile(session, arguments) { node async throws(FSError) in
      let path = node.path, status = node.status
      if status.type == .symbolicLink { return }
      let access = try await accessList(of: path, status, volume)
      var byDefault: AccessControlList?
      if status.type == .directory {
        byDefault = try await at(path) { () async throws(Ext2Error) in
          try await volume.accessControlList(of: path, isDefault: true)
        }
      }
      let new: (access: AccessControlList, byDefault: AccessControlList?)
      do { new = try change.applied(to: access, byDefault, isDirectory: status.type == .directory) } catch {
        throw .failed(path, "\(error)")
      }
      try await at(path) { () async throws(Ext2Error) in
        if new.access != access { try await volume.setAccessControlList(new.access, of: path) }
        if new.byDefault != byDefault {
          try await volume.setAccessControlList(new.byDefault, of: path, isDefault: true)
        }
      }
    }
  }
}

extension AccessControlList {
  /// What getfacl prints, a line an entry, with what the mask leaves of it where that is less.
  func lines(prefix: String = "") -> [String] {
    entries.map { entry in
      let effective = effectivePermissions(of: entry)
      return "\(prefix)\(entry)" + (effective == entry.permissions ? "" : "\t#effective:\(effective)")
    }
  }
}

/// What setfacl is asked to do to ACLs.
struct ListChange {
  private var removesAll: Bool, removesDefault: Bool
  private var replaced: [AccessControlClause]?
  private var set: [AccessControlClause] = []
  private var removed: [AccessControlClause] = []
  private var mask: AccessControlList.MaskRule
  /// With -R default ACLs are set where there can be some.
  private let isRecursive: Bool

  /// - Throws: `usage`.
  init(_ arguments: VerbArguments) throws(FSError) {
    isRecursive = arguments.has("R")
    removesAll = arguments.has("b")
    removesDefault = arguments.has("k") || arguments.has("b")
    mask = arguments.has("mask") ? .recalculated : arguments.has("n") ? .kept : .recalculatedUnlessGiven
    /// What an option says, and what is in the file that another one names.
    func clauses(
      _ option: String, file: String, needsPermissions: Bool = true
    ) throws(FSError) -> [AccessControlClause] {
      var text = arguments.text(option) ?? ""
      if let path = arguments.text(file) {
        do throws(Errno) { text += try "\n" + readText(path == "-" ? "/dev/stdin" : path) } catch {
          throw .failed(TreeError(arguments.bytes(file) ?? [], .host(step: "read", error)))
        }
      }
      do throws(AccessControlError) {
        return try AccessControlClause.parse(text).map { clause throws(AccessControlError) in
          if needsPermissions && clause.permissions == nil {
            throw .badText("\(clause.tag)", why: "permissions are missing, such as rwx or 5")
          }
          var clause = clause
          if arguments.has("d") { clause.isDefault = true }
          return clause
        }
      } catch { throw .usage("\(error)") }
    }
    set = try clauses("m", file: "M")
    removed = try clauses("x", file: "X", needsPermissions: false)
    if arguments.has("set") || arguments.has("set-file") { replaced = try clauses("set", file: "set-file") }
    if set.isEmpty && removed.isEmpty && replaced == nil && !removesDefault {
      throw .usage("what to do is missing: -m, -M, -x, -X, --set, --set-file, -b or -k")
    }
  }

  /// The ACLs after the change.
  func applied(
    to access: AccessControlList, _ byDefault: AccessControlList?, isDirectory: Bool
  ) throws(AccessControlError) -> (access: AccessControlList, byDefault: AccessControlList?) {
    var access = access, byDefault = byDefault
    if removesAll { access = try Self.base(of: access) }
    if removesDefault { byDefault = nil }
    if let replaced {
      let own = Self.entries(replaced, isDefault: false), inherited = Self.entries(replaced, isDefault: true)
      if !own.isEmpty { access = try Self.base(of: access).setting(own, mask: mask) }
      if !inherited.isEmpty { byDefault = try AccessControlList(default: inherited, from: access, mask: mask) }
    }
    let gone = removed.filter { !$0.isDefault }.map(\.tag), goneDefault = removed.filter(\.isDefault).map(\.tag)
    if !gone.isEmpty { access = try access.removing(gone, mask: mask) }
    if !goneDefault.isEmpty { byDefault = try byDefault?.removing(goneDefault, mask: mask) }
    let own = Self.entries(set, isDefault: false), inherited = Self.entries(set, isDefault: true)
    if !own.isEmpty { access = try access.setting(own, mask: mask) }
    if !inherited.isEmpty {
      if let old = byDefault {
        byDefault = try old.setting(inherited, mask: mask)
      } else if isDirectory {
        byDefault = try AccessControlList(default: inherited, from: access, mask: mask)
      } else if !isRecursive {
        throw .invalid("only directories have default ACLs")
      }
    }
    return (access, byDefault)
  }

  private static func entries(_ clauses: [AccessControlClause], isDefault: Bool) -> [AccessControlEntry] {
    clauses.filter { $0.isDefault == isDefault }.map { AccessControlEntry($0.tag, $0.permissions ?? []) }
  }

  /// The ACL without users, groups and mask: the owning group gets what it really had (setfacl -b).
  private static func base(of list: AccessControlList) throws(AccessControlError) -> AccessControlList {
    try AccessControlList(
      list.entries.filter { [.owner, .owningGroup, .other].contains($0.tag) }
        .map { AccessControlEntry($0.tag, $0.permissions) })
  }
}
