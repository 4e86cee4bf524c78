// mv, ln, rm, mkdir, rmdir, mknod: names.
internal import Ext2
internal import Ext2Format
internal import HostTree

extension FSCommand {
  static let names: [FSCommand] = [
    FSCommand(
      name: "mv", usage: "[-nT] SOURCE… TARGET",
      summary: "Move or rename; -n fails where the new name exists, -T takes TARGET for the name itself.",
      options: [.flag("n", "no-clobber"), .flag("f", "force"), .flag("T", "no-target-directory")],
      operandCount: 2...Int.max, access: .writing, run: move),
    FSCommand(
      name: "ln", usage: "[-sf] TARGET PATH",
      summary: "Give a file a further name; -s makes a symbolic link, -f replaces what is there.",
      options: [.flag("s", "symbolic"), .flag("f", "force"), .flag("n", "no-dereference")], operandCount: 2...2,
      access: .writing, run: link),
    FSCommand(
      name: "rm", usage: "[-rf] PATH…", summary: "Remove names; -r trees, -f is content when there is nothing.",
      options: [.flag("r", "R", "recursive"), .flag("f", "force")], operandCount: 1...Int.max, access: .writing,
      run: remove),
    FSCommand(
      name: "mkdir", usage: "[-p] [-m MODE] PATH…",
      summary: "Make directories; -p parents, too, and no error if there.",
      options: [.flag("p", "parents"), .value("m", "mode")], operandCount: 1...Int.max, access: .writing,
      run: makeDirectories),
    FSCommand(
      name: "rmdir", usage: "PATH…", summary: "Remove empty directories.", options: [], operandCount: 1...Int.max,
      access: .writing, run: removeDirectories),
    FSCommand(
      name: "mknod", usage: "[-m MODE] PATH b|c|p|s [MAJOR MINOR]", summary: "Make a device file, a fifo or a socket.",
      options: [.value("m", "mode")], operandCount: 2...4, access: .writing, run: makeNode),
  ]

  private static func move(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .writing)
    let sources = Array(arguments.operands.dropLast()), target = arguments.operands[arguments.operands.count - 1]
    let isName = arguments.has("T")
    if isName && sources.count > 1 { throw .usage("-T takes one SOURCE") }
    try await checkTarget(target, of: sources, volume)
    try await session.forEach(sources) { source async throws(FSError) in
      let place = isName ? target : await destination(target, for: source.lastName, volume)
      do throws(Ext2Error) {
        try await volume.rename(source, to: place, arguments.has("n") ? .noReplace : [])
      } catch {
        // The error may be about either of the two names.
        throw .failed(
          TreeError("\(ShellWords.quotedIfNeeded(source)) to \(ShellWords.quotedIfNeeded(place))", .volume(error)))
      }
    }
  }

  private static func link(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .writing)
    let target = arguments.operands[0]
    var path = arguments.operands[1]
    if !arguments.has("n") { path = await destination(path, for: target.lastName, volume) }
    let credentials = session.options.credentials
    try await copying { () async throws(TreeError) in
      try await Placement(volume: volume, credentials: credentials).placeNode(path, replaces: arguments.has("f")) {
        name async throws(Ext2Error) in
        if arguments.has("s") {
          try await volume.makeSymbolicLink(name, to: target, as: credentials)
        } else {
          try await volume.link(target, to: name)
        }
      }
    }
  }

  private static func remove(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .writing)
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      let last = path.lastName
      if last.isEmpty || last == Array(".".utf8) || last == Array("..".utf8) {
        throw .failed(path, "'.', '..' and the root cannot be removed")
      }
      // Without slashes behind it: rm(1) empties the directory that a link with one leads to, and then cannot remove it.
      let name = Array(path.reversed().drop { $0 == UInt8(ascii: "/") }.reversed())
      let status: FileStatus
      do throws(Ext2Error) { status = try await volume.status(of: name, followsLink: false) } catch {
        if case .notFound = error, arguments.has("f") { return }
        throw .failed(TreeError(path, .volume(error)))
      }
      if path.count > name.count && status.type != .directory {
        throw .failed(TreeError(path, .volume(.notADirectory(""))))
      }
      guard arguments.has("r"), status.type == .directory else {
        return try await at(path) { () async throws(Ext2Error) in try await volume.unlink(path) }
      }
      try await session.walk(from: path) { visit, _ async throws(FSError) in
        switch visit {
        case .enter: break
        case .file(let node):
          try await at(node.path) { () async throws(Ext2Error) in try await volume.unlink(node.path) }
        case .leave(let node):
          try await at(node.path) { () async throws(Ext2Error) in try await volume.removeDirectory(node.path) }
        }
      }
    }
  }

  /// The permissions that -m gives.
  private static func permissions(_ arguments: VerbArguments, from base: UInt16) throws(FSError) -> UInt16? {
    guard let text = arguments.text("m") else { return nil }
    guard let change = ModeChange(text) else { throw .usage("-m \(text): \(modeHint)") }
    return change.applied(to: base, isDirectory: false)
  }

  private static func makeDirectories(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let permissions = try permissions(arguments, from: 0o755) ?? 0o755
    let volume = try await session.volume(for: .writing)
    let credentials = session.options.credentials
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      guard arguments.has("p") else {
        return try await at(path) { () async throws(Ext2Error) in
          try await volume.makeDirectory(path, permissions: permissions, as: credentials)
        }
      }
      var prefix: [UInt8] = [UInt8(ascii: "/")]
      let names = path.split(separator: UInt8(ascii: "/")).map(Array.init)
      for (index, name) in names.enumerated() {
        prefix = prefix.appending(name)
        let here = prefix
        do throws(Ext2Error) {
          // Only the last one gets what -m says (POSIX, mkdir).
          try await volume.makeDirectory(
            here, permissions: index == names.count - 1 ? permissions : 0o755, as: credentials)
        } catch {
          guard case .exists = error, let status = try? await volume.status(of: here), status.type == .directory else {
            throw .failed(TreeError(here, .volume(error)))
          }
        }
      }
    }
  }

  private static func removeDirectories(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .writing)
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      try await at(path) { () async throws(Ext2Error) in try await volume.removeDirectory(path) }
    }
  }

  private static func makeNode(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let types: [String: InodeType] = [
      "b": .blockDevice, "c": .characterDevice, "u": .characterDevice, "p": .fifo, "s": .socket,
    ]
    guard let type = types[arguments.text(1)] else {
      throw .usage("\(arguments.text(1)): a type is wanted: b, c, p or s")
    }
    let isDevice = type == .blockDevice || type == .characterDevice
    guard arguments.operands.count == (isDevice ? 4 : 2) else {
      throw .usage(isDevice ? "a device has a major and a minor number" : "only devices have numbers")
    }
    var device = DeviceNumber(major: 0, minor: 0)
    if isDevice {
      let major = try arguments.number(2, "a major number", as: UInt32.self)
      let minor = try arguments.number(3, "a minor number", as: UInt32.self)
      guard major < 1 << 12, minor < 1 << 20 else { throw .usage("a major number has 12 bits, a minor number 20") }
      device = DeviceNumber(major: major, minor: minor)
    }
    let permissions = try permissions(arguments, from: 0o644) ?? 0o644
    let path = arguments.operands[0], credentials = session.options.credentials
    let volume = try await session.volume(for: .writing)
    try await at(path) { () async throws(Ext2Error) in
      try await volume.makeNode(path, type, device: device, permissions: permissions, as: credentials)
    }
  }

  static let modeHint = "a mode is wanted, octal such as 644 or symbolic such as u+rw,go-w"
}
