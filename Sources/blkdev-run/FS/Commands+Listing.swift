// ls, stat, lsattr, df: looking.
internal import Ext2
internal import Ext2Format
internal import HostTree
internal import Reactor
internal import Workload

extension FSCommand {
  static let listing: [FSCommand] = [
    FSCommand(
      name: "ls", usage: "[-laARidtSrU1N] [--full-time] [PATH…]",
      summary:
        "List names; -l with all details, -i inode numbers, -t newest first, -S largest first, -U in the order of the "
        + "disk, -r reversed, -N names unquoted.",
      options: [
        .flag("l"), .flag("a", "all"), .flag("A", "almost-all"), .flag("R", "recursive"), .flag("i", "inode"),
        .flag("d", "directory"), .flag("t"), .flag("S"), .flag("r", "reverse"), .flag("U"), .flag("1"),
        .flag("n", "numeric-uid-gid"), .flag("N", "literal"), .flag("full-time"),
      ], operandCount: 0...Int.max, access: .reading, printsJSON: true,
      run: list),
    FSCommand(
      name: "stat", usage: "[-L] PATH…", summary: "Show what is known of files; -L follows a symbolic link.",
      options: [.flag("L", "dereference")], operandCount: 1...Int.max, access: .reading,
      printsJSON: true, run: showStatus),
    FSCommand(
      name: "lsattr", usage: "[-dRv] [PATH…]", summary: "List the flags of chattr; -v the generation, too.",
      options: [.flag("d"), .flag("R"), .flag("a"), .flag("v")], operandCount: 0...Int.max, access: .reading,
      printsJSON: true, run: listFlags),
    FSCommand(
      name: "df", usage: "[-ih]", summary: "Show sizes and free space; -i inodes, -h in powers of 1024.",
      options: [.flag("i", "inodes"), .flag("h", "human-readable"), .flag("k")], operandCount: 0...0, access: .reading,
      printsJSON: true, run: showSpace),
  ]

  /// A file with what ls and stat print of it.
  struct Listed {
    let path: [UInt8]
    let name: [UInt8]
    let status: FileStatus
    let target: [UInt8]?
    /// Whether it has an ACL that says more than its permissions.
    var hasList = false

    init(_ volume: Volume, _ path: [UInt8], _ name: [UInt8], _ status: FileStatus) async throws(FSError) {
      (self.path, self.name, self.status) = (path, name, status)
      target =
        status.type == .symbolicLink
        ? try await at(path) { () async throws(Ext2Error) in try await volume.symbolicLinkTarget(path) } : nil
    }

    /// As `init`, with its ACL.
    static func withList(
      _ volume: Volume, _ path: [UInt8], _ name: [UInt8], _ status: FileStatus
    ) async throws(FSError) -> Listed {
      var file = try await Listed(volume, path, name, status)
      if status.type == .symbolicLink { return file }
      // A list that is damaged is no reason to show nothing of the file.
      for isDefault in status.type == .directory ? [false, true] : [false] where !file.hasList {
        file.hasList = (try? await volume.accessControlList(of: path, isDefault: isDefault)) ?? nil != nil
      }
      return file
    }

    /// The object of JSON documents.
    var json: JSONValue {
      var members = jsonText("path", path) + jsonText("name", name)
      members += [
        ("type", .string(status.type.word)), ("inode", .unsigned(UInt64(status.inode))),
        ("mode", .string(octalText(status.permissions))), ("links", .unsigned(UInt64(status.linkCount))),
        ("uid", .unsigned(UInt64(status.user))), ("gid", .unsigned(UInt64(status.group))),
        ("size", .unsigned(status.byteCount)), ("blocks_512", .unsigned(UInt64(status.sectorCount))),
        ("flags", .string(FlagText.shortText(status.flags))), ("generation", .unsigned(UInt64(status.generation))),
        ("atime", .string(status.accessTime.isoText)), ("mtime", .string(status.modificationTime.isoText)),
        ("ctime", .string(status.changeTime.isoText)),
      ]
      if let time = status.creationTime { members.append(("crtime", .string(time.isoText))) }
      if let device = status.device {
        members += [("major", .unsigned(UInt64(device.major))), ("minor", .unsigned(UInt64(device.minor)))]
      }
      return .object(members + (target.map { jsonText("target", $0) } ?? []))
    }
  }

  /// Bytes as a member of a JSON object. What is no UTF-8 is repaired, and then `…_hex` has all of it.
  private static func jsonText(_ key: String, _ bytes: [UInt8]) -> [(key: String, value: JSONValue)] {
    let value = (key: key, value: JSONValue.string(String(decoding: bytes, as: UTF8.self)))
    if String(validating: bytes, as: UTF8.self) != nil { return [value] }
    return [value, (key: key + "_hex", value: .string(bytes.map { padded16($0) }.joined()))]
  }

  // MARK: ls

  private static func list(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .reading)
    let style = ListStyle(arguments)
    let paths = arguments.operands.isEmpty ? [[UInt8(ascii: "/")]] : arguments.operands
    var documents: [JSONValue] = []
    var files: [Listed] = []
    var directories: [Listed] = []
    try await session.forEach(paths) { path async throws(FSError) in
      // A link that was named is followed where it leads to a directory, but not with -l or -d, as ls does.
      var status = try await at(path) { () async throws(Ext2Error) in
        try await volume.status(of: path, followsLink: false)
      }
      if status.type == .symbolicLink && !style.isLong && !style.namesOnly,
        let target = try? await volume.status(of: path), target.type == .directory
      {
        status = target
      }
      let file = try await style.listed(volume, path, path, status)
      if status.type == .directory && !style.namesOnly { directories.append(file) } else { files.append(file) }
    }
    if session.format == .json {
      documents += style.sorted(files).map(\.json)
    } else {
      try style.print(style.sorted(files), session.output)
    }
    let isAlone = files.isEmpty && paths.count == 1
    var isFirst = files.isEmpty
    try await session.forEach(style.sorted(directories).map(\.path)) { path async throws(FSError) in
      try await session.walk(from: path, followsLink: true) { visit, walk async throws(FSError) in
        guard case .enter(let node) = visit else { return }
        if !style.isRecursive { walk.skipContents() }
        if node.depth > 0 && !style.shows(node.name) { return walk.skipContents() }
        let entries = try await entries(of: node.path, volume, style, session)
        if session.format == .json { return documents += entries.map(\.json) }
        if !isFirst { try session.output.line("") }
        if !isAlone || style.isRecursive { try session.output.line("\(style.text(node.path)):") }
        isFirst = false
        if style.isLong {
          let blocks = entries.reduce(0) { $0 + UInt64($1.status.sectorCount) }
          try session.output.line("total \(blocks / 2)")
        }
        try style.print(entries, session.output)
      }
    }
    if session.format == .json {
      try session.output.line(JSONValue.members(["entries": .array(documents)]).text())
    }
  }

  private static func entries(
    of path: [UInt8], _ volume: Volume, _ style: ListStyle, _ session: FSSession
  ) async throws(FSError) -> [Listed] {
    let names = try await at(path) { () async throws(Ext2Error) in try await volume.entries(of: path) }.map(\.name)
      .filter(style.shows)
    var entries: [Listed] = []
    try await session.forEach(names) { name async throws(FSError) in
      let own = path.appending(name)
      let status = try await at(own) { () async throws(Ext2Error) in
        try await volume.status(of: own, followsLink: false)
      }
      entries.append(try await style.listed(volume, own, name, status))
    }
    return style.sorted(entries)
  }

  // MARK: stat

  private static func showStatus(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .reading)
    let blockSize = await volume.statistics.blockSize
    var documents: [JSONValue] = []
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      let status = try await at(path) { () async throws(Ext2Error) in
        try await volume.status(of: path, followsLink: arguments.has("L"))
      }
      let file = try await Listed(volume, path, path.lastName, status)
      if session.format == .json { return documents.append(file.json) }
      let target = file.target.map { " -> \(ShellWords.quotedIfNeeded($0))" } ?? ""
      let device = status.device.map { "   Device type: \($0.major),\($0.minor)" } ?? ""
      func left(_ text: some CustomStringConvertible, _ width: Int) -> String {
        let text = "\(text)"
        return text + String(repeating: " ", count: max(0, width - text.count))
      }
      func right(_ number: UInt32) -> String {
        String(repeating: " ", count: max(0, 5 - "\(number)".count)) + "\(number)"
      }
      let lines = [
        "  File: \(ShellWords.quotedIfNeeded(path))\(target)",
        "  Size: \(left(status.byteCount, 10))\tBlocks: \(left(status.sectorCount, 10)) IO Block: "
          + "\(left(blockSize, 6)) \(status.type.text(byteCount: status.byteCount))",
        "Inode: \(left(status.inode, 10))\tLinks: \(status.linkCount)\(device)",
        "Access: (\(octalText(status.permissions))/\(modeText(status.type, status.permissions)))"
          + "  Uid: (\(right(status.user)))   Gid: (\(right(status.group)))",
        " Flags: 0x\(String(status.flags.rawValue, radix: 16)) (\(FlagText.text(status.flags)))"
          + "   Generation: \(status.generation)",
        "Access: \(status.accessTime.fullText)", "Modify: \(status.modificationTime.fullText)",
        "Change: \(status.changeTime.fullText)", " Birth: \(status.creationTime?.fullText ?? "-")",
      ]
      for line in lines { try session.output.line(line) }
    }
    if session.format == .json {
      try session.output.line(JSONValue.members(["files": .array(documents)]).text())
    }
  }

  // MARK: lsattr

  private static func listFlags(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let paths = arguments.operands.isEmpty ? [[UInt8(ascii: "/")]] : arguments.operands
    var documents: [JSONValue] = []
    func show(_ node: VolumeNode) throws(FSError) {
      if session.format == .json {
        let members: [(key: String, value: JSONValue)] = [
          ("flags", .string(FlagText.shortText(node.status.flags))),
          ("generation", .unsigned(UInt64(node.status.generation))),
        ]
        return documents.append(.object(jsonText("path", node.path) + members))
      }
      let generation = arguments.has("v") ? "\(node.status.generation) " : ""
      try session.output.line(
        "\(generation)\(FlagText.text(node.status.flags)) \(ShellWords.quotedIfNeeded(node.path))")
    }
    try await session.forEach(paths) { path async throws(FSError) in
      try await session.walk(from: path) { visit, walk async throws(FSError) in
        switch visit {
        case .leave: break
        case .file(let node): try show(node)
        case .enter(let node):
          let isListed = node.depth == 0 && !arguments.has("d")
          if !isListed { try show(node) }
          if !isListed && !arguments.has("R") { walk.skipContents() }
        }
      }
    }
    if session.format == .json {
      try session.output.line(JSONValue.members(["files": .array(documents)]).text())
    }
  }

  // MARK: df

  private static func showSpace(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let statistics = await (try await session.volume(for: .reading)).statistics
    let blockSize = UInt64(statistics.blockSize)
    let used = statistics.blockCount - min(statistics.blockCount, statistics.freeBlockCount)
    let usedInodes = statistics.inodeCount - min(statistics.inodeCount, statistics.freeInodeCount)
    let uuid = uuidText(statistics.uuid)
    if session.format == .json {
      let document = JSONValue.members([
        "image": .string(session.options.image), "label": .string(statistics.label), "uuid": .string(uuid),
        "block_size": .unsigned(blockSize), "blocks": .unsigned(statistics.blockCount), "blocks_used": .unsigned(used),
        "blocks_free": .unsigned(statistics.freeBlockCount),
        "blocks_available": .unsigned(statistics.availableBlockCount),
        "inodes": .unsigned(statistics.inodeCount), "inodes_used": .unsigned(usedInodes),
        "inodes_free": .unsigned(statistics.freeInodeCount),
      ])
      return try session.output.line(document.text())
    }
    /// Used of what this user may have, rounded up, as df counts.
    func percent(_ used: UInt64, _ available: UInt64) -> String {
      let all = used + available
      return all == 0 ? "-" : "\((used * 100 + all - 1) / all)%"
    }
    func size(_ blocks: UInt64) -> String {
      arguments.has("h") ? ReportNumber.short(blocks * blockSize, .binary) : "\(blocks * blockSize / 1024)"
    }
    let rows: [[String]]
    if arguments.has("i") {
      rows = [
        ["Filesystem", "Inodes", "IUsed", "IFree", "IUse%"],
        [
          session.options.image, "\(statistics.inodeCount)", "\(usedInodes)", "\(statistics.freeInodeCount)",
          percent(usedInodes, statistics.freeInodeCount),
        ],
      ]
    } else {
      rows = [
        ["Filesystem", arguments.has("h") ? "Size" : "1K-blocks", "Used", "Available", "Use%"],
        [
          session.options.image, size(statistics.blockCount), size(used), size(statistics.availableBlockCount),
          percent(used, statistics.availableBlockCount),
        ],
      ]
    }
    for line in aligned(rows, leftColumns: [0]) { try session.output.line(line) }
  }
}

/// Two hexadecimal digits.
func padded16(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

/// 16 bytes as RFC 9562 writes them.
func uuidText(_ bytes: [UInt8]) -> String {
  bytes.enumerated().map { [4, 6, 8, 10].contains($0) ? "-\(padded16($1))" : padded16($1) }.joined()
}

/// Rows in columns of one width each.
func aligned(_ rows: [[String]], leftColumns: Set<Int>) -> [String] {
  var widths: [Int] = []
  for row in rows {
    for (index, cell) in row.enumerated() {
      if index == widths.count { widths.append(0) }
      widths[index] = max(widths[index], cell.count)
    }
  }
  return rows.map { row in
    row.enumerated().map { index, cell in
      let blanks = String(repeating: " ", count: widths[index] - cell.count)
      return leftColumns.contains(index) ? (index == row.count - 1 ? cell : cell + blanks) : blanks + cell
    }.joined(separator: " ")
  }
}
