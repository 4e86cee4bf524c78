// Superblock, group and inode as dumpe2fs and debugfs print them (lib/e2p/ls.c, misc/dumpe2fs.c, debugfs/debugfs.c of
// e2fsprogs).
internal import Ext2
internal import Ext2Format
internal import Reactor
internal import Workload

/// A superblock's fields, by dumpe2fs's labels and by the keys of JSON documents.
struct SuperblockText {
  struct Field {
    let label: String
    let key: String
    let text: String
    let value: JSONValue
  }
  private(set) var fields: [Field] = []

  init(_ superblock: Superblock, _ layout: VolumeLayout) {
    identity(superblock)
    state(superblock)
    counts(superblock, layout)
    times(superblock)
    number(
      "Reserved blocks uid", "reserved_uid", superblock.reservedUser, superblock.reservedUser == 0 ? " (user root)" : ""
    )
    number(
      "Reserved blocks gid", "reserved_gid", superblock.reservedGroup,
      superblock.reservedGroup == 0 ? " (group root)" : "")
    if superblock.revision > 0 {
      number("First inode", "first_inode", superblock.firstInode.rawValue)
      number("Inode size", "inode_size", superblock.inodeSize)
      if superblock.wantedExtraInodeSize > 0 {
        number("Desired extra isize", "desired_extra_isize", superblock.wantedExtraInodeSize)
      }
    }
    if superblock.lastOrphan != .none {
      number("First orphan inode", "first_orphan_inode", superblock.lastOrphan.rawValue)
    }
    let hashes = ["legacy", "half_md4", "tea"]
    if superblock.compatible.contains(.directoryIndex) || superblock.hashVersion != 0 {
      let version = Int(superblock.hashVersion)
      text("Default directory hash", "directory_hash", version < hashes.count ? hashes[version] : "\(version)")
    }
    let seed = superblock.hashSeed.indices.flatMap { index in
      (0..<4).map { UInt8(truncatingIfNeeded: superblock.hashSeed[index] >> (8 * UInt32($0))) }
    }
    if seed.contains(where: { $0 != 0 }) { text("Directory Hash Seed", "directory_hash_seed", uuidText(seed)) }
  }

  private mutating func text(_ label: String, _ key: String, _ text: String, orElse nothing: String = "") {
    fields.append(Field(label: label, key: key, text: text.isEmpty ? nothing : text, value: .string(text)))
  }
  private mutating func words(_ label: String, _ key: String, _ text: String, _ words: [String]) {
    fields.append(Field(label: label, key: key, text: text, value: .array(words.map { .string($0) })))
  }
  private mutating func number(_ label: String, _ key: String, _ number: some BinaryInteger, _ remark: String = "") {
    let value: JSONValue = number < 0 ? .signed(Int64(number)) : .unsigned(UInt64(number))
    fields.append(Field(label: label, key: key, text: "\(number)\(remark)", value: value))
  }
  private mutating func time(_ label: String, _ key: String, _ seconds: UInt32) {
    let text = CalendarTime(seconds: Int64(seconds), nanoseconds: 0).ctimeText
    fields.append(Field(label: label, key: key, text: seconds == 0 ? "n/a" : text, value: .unsigned(UInt64(seconds))))
  }

  private mutating func identity(_ superblock: Superblock) {
    func name(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self).withoutControls }
    text("Filesystem volume name", "label", name(superblock.label), orElse: "<none>")
    text("Last mounted on", "last_mounted_on", name(superblock.lastMounted), orElse: "<not available>")
    text("Filesystem UUID", "uuid", uuidText(superblock.uuid))
    text("Filesystem magic number", "magic", "0x" + String(superblock.magic, radix: 16).uppercased())
    let revisions = [" (original)", " (dynamic)"]
    number(
      "Filesystem revision #", "revision", superblock.revision,
      superblock.revision < 2 ? revisions[Int(superblock.revision)] : " (unknown)")
    let features =
      superblock.compatible.featureNames + superblock.incompatible.featureNames
      + superblock.readOnlyCompatible.featureNames
    words("Filesystem features", "features", features.isEmpty ? "(none)" : features.joined(separator: " "), features)
    let flags = ["signed_directory_hash", "unsigned_directory_hash", "test_filesystem"].enumerated()
      .filter { superblock.flags & (1 << UInt32($0.offset)) != 0 }.map(\.element)
    if superblock.flags != 0 { words("Filesystem flags", "flags", flags.map { $0 + " " }.joined(), flags) }
    let options = ["debug", "bsdgroups", "user_xattr", "acl", "uid16"].enumerated()
      .filter { superblock.defaultMountOptions & (1 << UInt32($0.offset)) != 0 }.map(\.element)
    words(
      "Default mount options", "default_mount_options", options.isEmpty ? "(none)" : options.joined(separator: " "),
      options)
  }

  private mutating func state(_ superblock: Superblock) {
    let isClean = superblock.state.contains(.valid), hasErrors = superblock.state.contains(.error)
    text("Filesystem state", "state", (isClean ? "clean" : "not clean") + (hasErrors ? " with errors" : ""))
    let behaviours: [ErrorBehaviour: String] = [
      .continue: "Continue", .remountReadOnly: "Remount read-only", .panic: "Panic",
    ]
    text("Errors behavior", "errors_behavior", behaviours[superblock.errorBehaviour] ?? "Unknown")
    let systems = ["Linux", "Hurd", "Masix", "FreeBSD", "Lites"]
    let system = Int(superblock.creatorSystem)
    text("Filesystem OS type", "os_type", system < systems.count ? systems[system] : "(unknown os)")
  }

  private mutating func counts(_ superblock: Superblock, _ layout: VolumeLayout) {
    number("Inode count", "inodes", superblock.inodeCount)
    number("Block count", "blocks", superblock.blockCount)
    number("Reserved block count", "blocks_reserved", superblock.reservedBlockCount)
    number("Free blocks", "blocks_free", superblock.freeBlockCount)
    number("Free inodes", "inodes_free", superblock.freeInodeCount)
    number("First block", "first_block", superblock.firstDataBlock.rawValue)
    number("Block size", "block_size", layout.blockSize)
    number("Fragment size", "fragment_size", UInt64(1024) << UInt64(min(superblock.logFragmentSize, 32)))
    if superblock.reservedDescriptorBlocks > 0 {
      number("Reserved GDT blocks", "reserved_gdt_blocks", superblock.reservedDescriptorBlocks)
    }
    number("Blocks per group", "blocks_per_group", superblock.blocksPerGroup)
    number("Fragments per group", "fragments_per_group", superblock.fragmentsPerGroup)
    number("Inodes per group", "inodes_per_group", superblock.inodesPerGroup)
    number("Inode blocks per group", "inode_blocks_per_group", layout.inodeTableBlocksPerGroup)
    if superblock.firstMetaBlockGroup > 0 {
      number("First meta block group", "first_meta_block_group", superblock.firstMetaBlockGroup)
    }
  }

  private mutating func times(_ superblock: Superblock) {
    if superblock.makeTime > 0 { time("Filesystem created", "created", superblock.makeTime) }
    time("Last mount time", "last_mount", superblock.mountTime)
    time("Last write time", "last_write", superblock.writeTime)
    number("Mount count", "mount_count", superblock.mountCount)
    number("Maximum mount count", "maximum_mount_count", superblock.maxMountCount)
    time("Last checked", "last_checked", superblock.lastCheckTime)
    number(
      "Check interval", "check_interval", superblock.checkInterval, superblock.checkInterval == 0 ? " (<none>)" : "")
  }
}

/// A group, in the words of dumpe2fs.
struct GroupText {
  private let inspection: GroupInspection
  private let layout: VolumeLayout

  init(_ inspection: GroupInspection, _ layout: VolumeLayout) {
    self.inspection = inspection
    self.layout = layout
  }

  private static func text(_ first: UInt32, _ last: UInt32) -> String {
    first == last ? "\(first)" : "\(first)-\(last)"
  }

  var lines: [String] {
    let group = inspection.group, descriptor = inspection.descriptor
    let first = layout.firstBlock(of: group), count = layout.blockCount(of: group)
    var lines = ["Group \(group): (Blocks \(first)-\(first.advanced(by: count - 1)))"]
    let descriptors = layout.descriptorBlocks(in: group)
    var parts: [String] = []
    if layout.hasSuperblock(group) {
      parts.append("\(group.rawValue == 0 ? "Primary" : "Backup") superblock at \(first)")
    }
    if Int(group.rawValue) / layout.descriptorsPerBlock >= layout.firstMetaBlockGroup {
      if !descriptors.isEmpty { parts.append("Group descriptor at \(descriptors.lowerBound)") }
    } else if !descriptors.isEmpty {
      parts.append("Group descriptors at \(descriptors.lowerBound)-\(descriptors.upperBound.advanced(by: -1))")
    }
    if !parts.isEmpty { lines.append("  " + parts.joined(separator: ", ")) }
    let reservedEnd = first.advanced(by: layout.leadingMetadataCount(of: group))
    if !descriptors.isEmpty && reservedEnd > descriptors.upperBound {
      lines.append("  Reserved GDT blocks at \(descriptors.upperBound)-\(reservedEnd.advanced(by: -1))")
    }
    func place(_ block: BlockNumber) -> String { "(+\(first.distance(to: block)))" }
    let table = descriptor.inodeTable
    lines += [
      "  Block bitmap at \(descriptor.blockBitmap) \(place(descriptor.blockBitmap))",
      "  Inode bitmap at \(descriptor.inodeBitmap) \(place(descriptor.inodeBitmap))",
      "  Inode table at \(table)-\(table.advanced(by: layout.inodeTableBlocksPerGroup - 1)) \(place(table))",
      "  \(descriptor.freeBlockCount) free blocks, \(descriptor.freeInodeCount) free inodes,"
        + " \(descriptor.usedDirectoryCount) directories",
      "  Free blocks: "
        + inspection.freeBlocks.map { Self.text($0.lowerBound.rawValue, $0.upperBound.rawValue - 1) }
        .joined(separator: ", "),
      "  Free inodes: "
        + inspection.freeInodes.map { Self.text($0.lowerBound, $0.upperBound) }.joined(separator: ", "),
    ]
    return lines
  }

  var json: JSONValue {
    let group = inspection.group, descriptor = inspection.descriptor
    let first = layout.firstBlock(of: group).rawValue
    func ranges(_ ranges: [(UInt32, UInt32)]) -> JSONValue {
      .array(ranges.map { .array([.unsigned(UInt64($0.0)), .unsigned(UInt64($0.1))]) })
    }
    return .members([
      "group": .unsigned(UInt64(group.rawValue)), "first_block": .unsigned(UInt64(first)),
      "blocks": .unsigned(UInt64(layout.blockCount(of: group))),
      "has_superblock": .boolean(layout.hasSuperblock(group)),
      "block_bitmap": .unsigned(UInt64(descriptor.blockBitmap.rawValue)),
      "inode_bitmap": .unsigned(UInt64(descriptor.inodeBitmap.rawValue)),
      "inode_table": .unsigned(UInt64(descriptor.inodeTable.rawValue)),
      "blocks_free": .unsigned(UInt64(descriptor.freeBlockCount)),
      "inodes_free": .unsigned(UInt64(descriptor.freeInodeCount)),
      "directories": .unsigned(UInt64(descriptor.usedDirectoryCount)),
      "free_blocks": ranges(inspection.freeBlocks.map { ($0.lowerBound.rawValue, $0.upperBound.rawValue - 1) }),
      "free_inodes": ranges(inspection.freeInodes.map { ($0.lowerBound, $0.upperBound) }),
    ])
  }
}

/// An inode, in the words of debugfs's stat.
struct InodeText {
  private let number: InodeNumber
  private let inode: InodeInspection

  init(_ number: InodeNumber, _ inode: InodeInspection) {
    self.number = number
    self.inode = inode
  }

  private var blocks: [UInt32] { inode.record.block.indices.map { inode.record.block[$0] } }

  private func time(_ time: Timestamp) -> CalendarTime {
    CalendarTime(seconds: time.seconds, nanoseconds: time.nanoseconds)
  }

  var lines: [String] {
    let record = inode.record
    let mode = String(record.mode.permissions, radix: 8)
    var lines = [
      "Inode: \(number)   Type: \(record.mode.type?.text(byteCount: 1) ?? "bad type")    Mode:  "
        + String(repeating: "0", count: max(0, 4 - mode.count)) + mode + "   Flags: 0x"
        + String(record.flags.rawValue, radix: 16) + "   In bitmap: \(inode.isMarkedUsed ? "used" : "free")",
      "Generation: \(record.generation)   In table: block \(inode.block), byte \(inode.byteOffset)",
      "User: \(record.userID)   Group: \(record.groupID)   Size: \(record.size)",
      "File ACL: \(record.attributeBlock)",
      "Links: \(record.linkCount)   Blockcount: \(record.sectorCount)",
      " ctime: \(time(record.changeTime).fullText)", " atime: \(time(record.accessTime).fullText)",
      " mtime: \(time(record.modificationTime).fullText)",
    ]
    if let creation = record.creationTime { lines.append("crtime: \(time(creation).fullText)") }
    if record.deletionTime != 0 {
      let deletion = CalendarTime(seconds: Int64(record.deletionTime), nanoseconds: 0)
      lines.append(" dtime: \(deletion.fullText)")
    }
    lines.append("Size of extra inode fields: \(record.extraSize)")
    let labels = (0..<12).map { "\($0)" } + ["IND", "DIND", "TIND"]
    lines.append("BLOCKS:")
    lines.append(zip(labels, blocks).filter { $0.1 != 0 }.map { "(\($0.0)):\($0.1)" }.joined(separator: ", "))
    return lines
  }

  var json: JSONValue {
    let record = inode.record
    return .members([
      "inode": .unsigned(UInt64(number.rawValue)), "in_use": .boolean(inode.isMarkedUsed),
      "table_block": .unsigned(UInt64(inode.block.rawValue)), "table_byte": .unsigned(UInt64(inode.byteOffset)),
      "type": record.mode.type.map { .string($0.word) }, "mode": .string(octalText(record.mode.permissions)),
      "uid": .unsigned(UInt64(record.userID)), "gid": .unsigned(UInt64(record.groupID)),
      "size": .unsigned(record.size), "links": .unsigned(UInt64(record.linkCount)),
      "blocks_512": .unsigned(UInt64(record.sectorCount)), "flags": .unsigned(UInt64(record.flags.rawValue)),
      "generation": .unsigned(UInt64(record.generation)),
      "attribute_block": .unsigned(UInt64(record.attributeBlock.rawValue)),
      "atime": .string(time(record.accessTime).isoText), "mtime": .string(time(record.modificationTime).isoText),
      "ctime": .string(time(record.changeTime).isoText),
      "crtime": record.creationTime.map { .string(time($0).isoText) },
      "dtime": .unsigned(UInt64(record.deletionTime)), "extra_size": .unsigned(UInt64(record.extraSize)),
      "i_block": .array(blocks.map { .unsigned(UInt64($0)) }),
    ])
  }
}
