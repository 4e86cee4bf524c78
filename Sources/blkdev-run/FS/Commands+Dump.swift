// dump: the structures of the volume, in the words of dumpe2fs, debugfs, filefrag and e2freefrag.
internal import Ext2
internal import Ext2Format
internal import HostTree
internal import Workload

extension FSCommand {
  static let dumping: [FSCommand] = [
    FSCommand(
      name: "dump", usage: "superblock | groups | inode NUMBER | block NUMBER | extents PATH | free",
      summary: "Show structures of the disk: as dumpe2fs and debugfs do, and where the free space is.",
      options: [], operandCount: 1...2, access: .reading, printsJSON: true, run: dump)
  ]
  private static let dumps = ["superblock", "groups", "inode", "block", "extents", "free"]

  private static func dump(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let what = arguments.text(0)
    guard dumps.contains(what) else {
      throw .usage("\(what): there are \(dumps.joined(separator: ", "))" + FSOptions.hint(what, dumps))
    }
    let takesOperand = ["inode", "block", "extents"].contains(what)
    guard arguments.operands.count == (takesOperand ? 2 : 1) else {
      throw .usage(takesOperand ? "\(what) of what?" : "\(what) takes no operand")
    }
    let inode = what == "inode" ? try arguments.number(1, "the number of an inode", as: UInt32.self) : 0
    let block = what == "block" ? try arguments.number(1, "the number of a block", as: UInt32.self) : 0
    let volume = try await session.volume(for: .reading)
    // What is shown is what is on the disk, too.
    let image = Array(session.options.image.utf8)
    try await at(image) { () async throws(Ext2Error) in try await volume.synchronize() }
    switch what {
    case "superblock": try await dumpSuperblock(volume, session)
    case "groups": try await dumpGroups(volume, session)
    case "inode": try await dumpInode(InodeNumber(rawValue: inode), volume, session)
    case "block": try await dumpBlock(BlockNumber(rawValue: block), volume, session)
    case "extents": try await dumpExtents(arguments.operands[1], volume, session)
    default: try await dumpFreeSpace(volume, session)
    }
  }

  /// Prints lines of text, or the members of an object of the same order.
  static func show(
    _ lines: @autoclosure () -> [String], _ json: @autoclosure () -> JSONValue, _ session: FSSession
  ) throws(FSError) {
    if session.format == .json { return try session.output.line(json().text()) }
    for line in lines() { try session.output.line(line) }
  }

  // MARK: Superblock and groups

  private static func dumpSuperblock(_ volume: Volume, _ session: FSSession) async throws(FSError) {
    let (superblock, layout) = try await at([]) { () async throws(Ext2Error) in try await volume.superblock() }
    let fields = SuperblockText(superblock, layout).fields
    try show(
      fields.map { field in
        let label = field.label + ":"
        return label + String(repeating: " ", count: max(1, 26 - label.count)) + field.text
      },
      .object(fields.map { (key: $0.key, value: $0.value) }), session)
  }

  private static func dumpGroups(_ volume: Volume, _ session: FSSession) async throws(FSError) {
    let (_, layout) = try await at([]) { () async throws(Ext2Error) in try await volume.superblock() }
    var documents: [JSONValue] = []
    for group in layout.groups {
      try session.checkStop()
      let inspection = try await at(Array("group \(group)".utf8)) { () async throws(Ext2Error) in
        try await volume.inspect(group)
      }
      let text = GroupText(inspection, layout)
      if session.format == .json {
        documents.append(text.json)
      } else {
        for line in text.lines { try session.output.line(line) }
      }
    }
    if session.format == .json {
      try session.output.line(JSONValue.members(["groups": .array(documents)]).text())
    }
  }

  // MARK: Inodes, blocks, extents

  private static func dumpInode(
    _ number: InodeNumber, _ volume: Volume, _ session: FSSession
  ) async throws(FSError) {
    let count = await volume.statistics.inodeCount
    guard number.rawValue > 0, UInt64(number.rawValue) <= count else {
      throw .failed(TreeError("inode \(number)", .unfit("the volume has inodes 1 to \(count)")))
    }
    let inode = try await at(Array("inode \(number)".utf8)) { () async throws(Ext2Error) in
      try await volume.inspect(number)
    }
    let text = InodeText(number, inode)
    try show(text.lines, text.json, session)
  }

  private static func dumpBlock(
    _ number: BlockNumber, _ volume: Volume, _ session: FSSession
  ) async throws(FSError) {
    let (_, layout) = try await at([]) { () async throws(Ext2Error) in try await volume.superblock() }
    guard number.rawValue < layout.blockCount else {
      throw .failed(TreeError("block \(number)", .unfit("the volume has blocks 0 to \(layout.blockCount - 1)")))
    }
    let block = try await at(Array("block \(number)".utf8)) { () async throws(Ext2Error) in
      try await volume.inspect(number)
    }
    let use =
      block.fixedUse?.words ?? (block.isMarkedUsed.map { $0 ? "in use" : "free" } ?? "outside of the groups")
    let json = JSONValue.members([
      "block": .unsigned(UInt64(number.rawValue)), "use": .string(use),
      "hex": .string(block.bytes.map(padded16).joined()),
    ])
    try show(["Block \(number): \(use)"] + hexDump(block.bytes), json, session)
  }

  /// As hexdump -C prints: 16 bytes a line, and an asterisk for lines that repeat the one before.
  private static func hexDump(_ bytes: [UInt8]) -> [String] {
    var lines: [String] = []
    var previous: ArraySlice<UInt8>?
    for offset in stride(from: 0, to: bytes.count, by: 16) {
      let row = bytes[offset..<min(offset + 16, bytes.count)]
      if previous?.elementsEqual(row) == true {
        if lines.last != "*" { lines.append("*") }
        continue
      }
      previous = row
      let digits = row.map(padded16)
      let text = String(decoding: row.map { (0x20..<0x7F).contains($0) ? $0 : UInt8(ascii: ".") }, as: UTF8.self)
      let address = String(offset, radix: 16)
      lines.append(
        String(repeating: "0", count: 8 - address.count) + address + "  "
          + digits.prefix(8).joined(separator: " ") + "  " + digits.dropFirst(8).joined(separator: " ") + "  |\(text)|")
    }
    return lines
  }

  private static func dumpExtents(_ path: [UInt8], _ volume: Volume, _ session: FSSession) async throws(FSError) {
    let extents = try await at(path) { () async throws(Ext2Error) in
      let file = try await volume.open(path)
      do throws(Ext2Error) {
        let extents = try await file.extents()
        await file.close()
        return extents
      } catch {
        await file.close()
        throw error
      }
    }
    let rows = extents.enumerated().map { index, extent in
      [
        "\(index):", "\(extent.fileBlock)..\(extent.fileBlock + UInt64(extent.count) - 1):",
        "\(extent.diskBlock)..\(extent.diskBlock + UInt64(extent.count) - 1):", "\(extent.count)",
      ]
    }
    let json = JSONValue.members([
      "path": .string(String(decoding: path, as: UTF8.self)),
      "extents": .array(
        extents.map { extent in
          .members([
            "file_block": .unsigned(extent.fileBlock), "disk_block": .unsigned(extent.diskBlock),
            "count": .unsigned(UInt64(extent.count)),
          ])
        }),
    ])
    let table = aligned([["ext:", "file blocks:", "disk blocks:", "count"]] + rows, leftColumns: [])
    try show(table + ["\(extents.count) extents"], json, session)
  }

  // MARK: Free space

  private static func dumpFreeSpace(_ volume: Volume, _ session: FSSession) async throws(FSError) {
    let (_, layout) = try await at([]) { () async throws(Ext2Error) in try await volume.superblock() }
    var picture = FreeSpacePicture(layout)
    for group in layout.groups {
      try session.checkStop()
      let inspection = try await at(Array("group \(group)".utf8)) { () async throws(Ext2Error) in
        try await volume.inspect(group)
      }
      picture.add(inspection)
    }
    picture.finish()
    try show(picture.lines, picture.json, session)
  }
}

extension FixedMetadata {
  /// What it is, in words.
  fileprivate var words: String {
    switch self {
    case .superblock: "superblock"
    case .groupDescriptors: "group descriptors"
    case .reservedDescriptors: "reserved group descriptors"
    case .blockBitmap: "block bitmap"
    case .inodeBitmap: "inode bitmap"
    case .inodeTable: "inode table"
    }
  }
}
