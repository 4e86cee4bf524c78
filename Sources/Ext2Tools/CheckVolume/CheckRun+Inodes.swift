// The first pass: every inode, and the blocks it owns (e2fsck/pass1.c, e2fsck_pass1).
internal import Ext2Format

extension CheckRun {
  /// Bytes of an inode table that are read at once.
  private static var tableChunk: Int { 256 << 10 }

  /// Goes over the inode tables.
  mutating func checkInodes() {
    let geometry = self.geometry!
    let bytesPerGroup = Int(geometry.inodesPerGroup) * geometry.inodeSize
    let reader = self.reader
    for group in 0..<geometry.groupCount {
      inodes.beginGroup()
      let start = UInt64(layout.places[Int(group)].inodeTable) << UInt64(geometry.blockSizeLog2)
      var done = 0
      while done < bytesPerGroup {
        let count = min(Self.tableChunk, bytesPerGroup - done)
        let first = group * geometry.inodesPerGroup + UInt32(done / geometry.inodeSize) + 1
        let isRead = reader.bytes(at: start + UInt64(done), count: count, .table) { table in
          scan(table, first, geometry)
        }
        if !isRead {
          add(
            CheckFinding(
              .metadataUnreadable, group: group,
              block: UInt32((start + UInt64(done)) >> UInt64(geometry.blockSizeLog2)),
              field: "inode table"))
        }
        done += count
      }
      if group & 63 == 63 { show(0, 0.7, group, of: geometry.groupCount) }
    }
    inodes.beginGroup()
    checkAttributeReferences()
  }

  /// Goes over a part of an inode table.
  @inline(__always)
  private mutating func scan(_ table: RawSpan, _ first: UInt32, _ geometry: CheckGeometry) {
    // Counts as in use whatever it holds; zero, which no inode has, where there is none.
    let projectQuota = geometry.extraSystemInodes[2]
    var number = first
    var offset = 0
    while offset < table.byteCount {
      // Never used: no mode and no size, no deletion time, no links.
      let isUntouched =
        table.integer(at: offset, as: UInt64.self) | table.integer(at: offset + 16, as: UInt64.self)
        | table.integer(at: offset + 24, as: UInt64.self) == 0
      if !isUntouched || number < geometry.firstInode || number == projectQuota {
        checkInode(number, table, offset, geometry)
      }
      offset += geometry.inodeSize
      number &+= 1
    }
  }

  /// Sorts an inode out: not in use, kept for the format, or a file.
  @inline(never)
  private mutating func checkInode(_ number: UInt32, _ table: RawSpan, _ offset: Int, _ geometry: CheckGeometry) {
    let inode = InodeView(table, at: offset, number: number)
    let deletionTime = inode.deletionTime
    if deletionTime != 0 && geometry.deletionTimesTellOrphans && deletionTime < geometry.inodeCount {
      add(CheckFinding(.orphanDeletionTime, inode: number, field: "i_dtime", found: UInt64(deletionTime)))
    }
    let isQuota = number == 3 || number == 4 || number == geometry.extraSystemInodes[2]
    if inode.links == 0 {
      if number >= geometry.firstInode && !isQuota {
        if deletionTime == 0 && inode.mode != 0 {
          add(CheckFinding(.missingDeletionTime, inode: number, field: "i_dtime", found: 0))
        }
        return
      }
    }
    if !inode.flags.isDisjoint(with: .foreign) { checkFlags(inode, geometry) }
    if checkReserved(inode, isQuota, geometry) { return }
    if inode.links == 0 { return }
    checkFile(inode, table, geometry)
  }

  /// Flags that belong to features of ext4.
  private mutating func checkFlags(_ inode: InodeView, _ geometry: CheckGeometry) {
    let flags = inode.flags
    let isWrong =
      flags.contains(.casefold)
      || flags.contains(.inlineData) && inode.number >= geometry.firstInode
      || flags.contains(.extents) && (inode.links != 0 || [1, 2, 8].contains(inode.number))
    if isWrong {
      add(CheckFinding(.inodeFlag, inode: inode.number, field: "i_flags", found: UInt64(flags.rawValue)))
    }
  }

  /// The inodes that the format keeps for itself, and the root. Returns whether that was all there is to check.
  private mutating func checkReserved(_ inode: InodeView, _ isQuota: Bool, _ geometry: CheckGeometry) -> Bool {
    let number = inode.number
    switch number {
    case InodeNumber.badBlocks.rawValue:
      checkBadBlocks(inode, geometry)
      return true
    case InodeNumber.root.rawValue:
      if inode.type != InodeType.directory.rawValue {
        add(CheckFinding(.rootNotDirectory, inode: number, field: "i_mode", found: UInt64(inode.mode)))
      }
      if inode.deletionTime != 0 && inode.links != 0 {
        add(CheckFinding(.rootDeletionTime, inode: number, field: "i_dtime", found: UInt64(inode.deletionTime)))
      }
      return false
    case InodeNumber.journal.rawValue:
      if geometry.journalInode == number {
        appendReserved(inode)
        if inode.type != InodeType.regular.rawValue {
          add(CheckFinding(.reservedMode, inode: number, field: "i_mode", found: UInt64(inode.mode)))
        }
        checkBlocks(inode, isBad: false, geometry)
        return true
      }
    default:
      if !isQuota && number != geometry.extraSystemInodes[3] {
        guard number < geometry.firstInode else { return false }
        appendReserved(inode)
        let isWrong =
          switch InodeNumber(rawValue: number) {
          case .bootLoader: inode.type == InodeType.directory.rawValue
          case .resize: inode.mode != 0 && inode.type != InodeType.regular.rawValue
          default: inode.mode != 0
          }
        if isWrong { add(CheckFinding(.reservedMode, inode: number, field: "i_mode", found: UInt64(inode.mode))) }
        checkBlocks(inode, isBad: false, geometry)
        return true
      }
    }
    // Journal, quota and orphan file, which the volume does not have.
    if inode.links != 0 || inode.sectorCount != 0 || inode.pointer(0) != 0 {
      add(CheckFinding(.reservedInUse, inode: number, field: "i_block"))
    }
    if inode.links == 0 { appendReserved(inode) }
    return false
  }

  private mutating func appendReserved(_ inode: InodeView) {
    inodes.append(
      UsedInodes.Entry(
        number: inode.number, directory: UsedInodes.none, links: inode.links,
        typeCode: InodeType(rawValue: inode.type)?.directoryCode ?? 0, flags: .reserved))
    report.statistics.usedInodes += 1
  }

  /// A file of any type: what its fields say together, and its blocks.
  private mutating func checkFile(_ inode: InodeView, _ table: RawSpan, _ geometry: CheckGeometry) {
    let number = inode.number
    if inode.deletionTime != 0 && number != InodeNumber.root.rawValue {
      add(CheckFinding(.deletionTime, inode: number, field: "i_dtime", found: UInt64(inode.deletionTime)))
    }
    let type = InodeType(rawValue: inode.type)
    if inode.flags.contains(.imagic) && !geometry.compatible.contains(.imagicInodes) {
      add(CheckFinding(.inodeFlag, inode: number, field: "i_flags", found: UInt64(inode.flags.rawValue)))
    }
    if geometry.inodeSize > 128 { checkExtraSpace(inode, table, geometry) }
    if inode.flags.contains(.encrypt) {
      add(CheckFinding(.inodeFlag, inode: number, field: "i_flags", found: UInt64(inode.flags.rawValue)))
    }

    let isBad = checkFields(inode, type, geometry)
    var flags: UsedInodes.Flags = []
    if inode.flags.contains(.index) { flags.insert(.index) }
    if isBad { flags.insert(.bad) }
    if inode.flags.contains(.imagic) && geometry.compatible.contains(.imagicInodes) { flags.insert(.imagic) }
    if inode.sectorCount == 0 && !hasAttributesInside(inode, table, geometry)
      && (type == .regular || type == .directory)
    {
      flags.insert(.empty)
    }
    var directory = UsedInodes.none
    if type == .directory {
      directory = UInt32(directories.count)
      directories.append(
        DirectoryRecord(
          inode: number, firstBlock: directoryBlocks.count, blockCount: 0, fileBlockCount: 0))
    }
    // A reserved number was entered before when a feature claims the inode too.
    inodes.append(
      UsedInodes.Entry(
        number: number, directory: directory, links: inode.links,
        typeCode: type == .directory || type == .regular || !isBad ? type?.directoryCode ?? 0 : 0, flags: flags))
    report.statistics.usedInodes += 1
    switch type {
    case .directory: report.statistics.directories += 1
    case .regular: report.statistics.regularFiles += 1
    case .symbolicLink: report.statistics.symbolicLinks += 1
    default: report.statistics.specialFiles += 1
    }
    checkBlocks(inode, isBad: isBad, geometry)
  }

  /// What e2fsck_process_bad_inode (e2fsck/pass2.c) looks at again in an inode that looked wrong. Returns whether the
  /// inode did.
  private mutating func checkFields(_ inode: InodeView, _ type: InodeType?, _ geometry: CheckGeometry) -> Bool {
    let number = inode.number
    var looksWrong = false
    func wrong(_ run: inout CheckRun, _ field: String, _ value: UInt64) {
      run.add(CheckFinding(.inodeField, inode: number, field: field, found: value, expected: 0))
    }
    let isDirectory = type == .directory
    if inode.fragmentAddress != 0 {
      looksWrong = true
      wrong(&self, "i_faddr", UInt64(inode.fragmentAddress))
    }
    if geometry.isHurd {
      let fragment = inode.sectorCountHigh
      if fragment != 0 {
        looksWrong = true
        wrong(&self, "h_i_frag", UInt64(fragment))
      }
    } else {
      if inode.sectorCountHigh != 0 {
        looksWrong = true
        if geometry.isLinux { wrong(&self, "l_i_blocks_hi", UInt64(inode.sectorCountHigh)) }
      }
      if inode.attributeBlockHigh != 0 {
        looksWrong = true
        if geometry.isLinux {
          add(
            CheckFinding(
              .attributeBlockHigh, inode: number, field: "l_i_file_acl_high", found: UInt64(inode.attributeBlockHigh),
              expected: 0))
        }
      }
    }
    if isDirectory && inode.sizeHigh != 0 {
      looksWrong = true
      if UInt64(inode.sectorCount) < 1 << UInt64(29 - geometry.blockSizeLog2) {
        wrong(&self, "i_size_high", UInt64(inode.sizeHigh))
      }
    }
    if inode.attributeBlock != 0 {
      if !geometry.compatible.contains(.extendedAttributes) || !geometry.contains(inode.attributeBlock) {
        looksWrong = true
        wrong(&self, "i_file_acl", UInt64(inode.attributeBlock))
      }
    }
    switch type {
    case .directory, .regular: break
    case .symbolicLink:
      if !isSymbolicLink(inode, geometry) {
        looksWrong = true
        add(CheckFinding(.symbolicLink, inode: number, field: "i_size", found: inode.size))
      } else {
        checkSpecialFlags(inode)
      }
    case .none:
      looksWrong = true
      add(CheckFinding(.inodeMode, inode: number, field: "i_mode", found: UInt64(inode.mode)))
    default:
      if isDevice(inode) {
        checkSpecialFlags(inode)
        if inode.size != 0 {
          add(CheckFinding(.specialSize, inode: number, field: "i_size", found: inode.size, expected: 0))
        }
      } else {
        looksWrong = true
        add(CheckFinding(.deviceInode, inode: number, field: "i_flags", found: UInt64(inode.flags.rawValue)))
      }
    }
    return looksWrong
  }

  private mutating func checkSpecialFlags(_ inode: InodeView) {
    if !inode.flags.isDisjoint(with: [.immutable, .appendOnly]) {
      add(
        CheckFinding(.specialFlags, inode: inode.number, field: "i_flags", found: UInt64(inode.flags.rawValue)))
    }
  }

  /// Whether a device file, pipe or socket is one (e2fsck_pass1_check_device_inode).
  private func isDevice(_ inode: InodeView) -> Bool {
    if !inode.flags.isDisjoint(with: [.index, .extents]) { return false }
    if inode.flags.isDisjoint(with: [.immutable, .appendOnly]) { return true }
    return (4..<15).allSatisfy { inode.pointer($0) == 0 }
  }

  /// Whether a symbolic link is one: its size is that of the text, and the text lies in the inode or in one block
  /// (e2fsck_pass1_check_symlink).
  private func isSymbolicLink(_ inode: InodeView, _ geometry: CheckGeometry) -> Bool {
    if inode.size == 0 || inode.sizeHigh != 0 || !inode.flags.isDisjoint(with: [.index, .inlineData]) { return false }
    let size = Int(clamping: inode.size)
    if inode.isFastSymbolicLink {
      // Each name of the target, and where it ends.
      return (0..<InodeRecord.fastSymlinkLimit).first { inode.byte(40 + $0) == 0 } == size
    }
    let block = inode.pointer(0)
    guard (1..<15).allSatisfy({ inode.pointer($0) == 0 }), geometry.contains(block), size < geometry.blockSize else {
      return false
    }
    var length = 0
    let isRead = reader.blocks(block, .indirect) { text in
      while length < text.byteCount, text.integer(at: length, as: UInt8.self) != 0 { length += 1 }
    }
    return isRead && length == size
  }
}

extension InodeFlags {
  /// Names differ by more than case (`EXT4_CASEFOLD_FL`).
  static let casefold = Self(rawValue: 0x4000_0000)
  /// Encrypted (`EXT4_ENCRYPT_FL`).
  static let encrypt = Self(rawValue: 0x800)
  /// Protected by a tree of hashes (`EXT4_VERITY_FL`), which lies behind the end of the file.
  static let verity = Self(rawValue: 0x10_0000)
  /// What makes no sense in ext2.
  static let foreign: Self = [.casefold, .inlineData, .extents]
}
