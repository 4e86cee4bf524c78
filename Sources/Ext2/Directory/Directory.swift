// Directories: blocks of entries, in the metadata cache. Under the directory's lock throughout.
internal import Ext2Format
internal import PageCache

/// A directory that the caller references and whose lock it holds.
struct Directory {
  let inode: Inode
  let format: DirectoryBlock
  var metadata: MetadataCache { inode.table.metadata }
  var pool: NameIndexPool { inode.table.nameIndexes }

  init(_ inode: Inode) {
    self.inode = inode
    format = DirectoryBlock(layout: inode.table.groups.layout)
  }

  /// An entry that was found, and its block, pinned.
  struct Found {
    let block: MetadataBlock
    /// The block's index in the directory.
    let blockIndex: UInt64
    let entry: DirectoryEntry
  }

  static let dot = Array(".".utf8)
  static let dotDot = Array("..".utf8)
  /// Directories of fewer blocks are looked through, at first.
  private static let smallestIndexedCount = 3
  /// So often; then they get an index as well.
  private static let scansBeforeIndex = 8

  var blockCount: UInt64 { inode.byteCount >> UInt64(inode.table.groups.layout.blockSizeLog2) }
  /// The byte offset of an entry in the directory.
  func position(_ index: UInt64, _ entry: DirectoryEntry) -> UInt64 { position(index, entry.offset) }
  func position(_ index: UInt64, _ offset: Int) -> UInt64 { index * UInt64(format.blockSize) + UInt64(offset) }

  // MARK: Blocks

  /// One block of the directory, pinned and checked.
  func block(_ index: UInt64, _ ticket: MetadataTicket) async throws(Ext2Error) -> MetadataBlock {
    if let block = blockNow(index) {
      ticket.pin(block)
      return block
    }
    let layout = inode.table.groups.layout
    guard let path = BlockPath(fileBlock: index, blockSizeLog2: layout.blockSizeLog2) else { throw .closed }
    let end = try await inode.tree.walk(path, nil)
    let number = end.missingLevel == nil ? inode.tree.pointer(in: end.slot) : .none
    guard number != .none else {
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(inode.number), field: "directory block \(index)", value: 0, why: "a directory has a hole"))
    }
    try inode.tree.check(number, in: end.slot)
    guard let block = try await metadata.load(number, owner: inode.number, ticket) else { throw .closed }
    if !block.isChecked {
      do throws(FormatError) {
        try block.withBytes { bytes throws(FormatError) in try format.check(bytes, block: number) }
      } catch { throw Ext2Error(error) }
      block.isChecked = badName(in: block) == nil
    }
    return block
  }

  /// What is wrong with a name in a block. The other names can be found all the same, but none is known to be absent.
  private func badName(in block: MetadataBlock) -> FormatError? {
    do throws(FormatError) {
      try block.withBytes { bytes throws(FormatError) in try format.checkNames(bytes, block: block.number) }
      return nil
    } catch { return error }
  }

  // MARK: Finding

  /// What can be said of a name without suspending.
  enum FoundNow {
    case found(MetadataBlock, blockIndex: UInt64, DirectoryEntry)
    case absent
    /// A block is not in memory, or something is wrong: `find` tells.
    case unknown
  }

  /// Looks for a name in what is in memory: one step, so that the directory's lock need not be held.
  func findNow(_ name: [UInt8]) -> FoundNow {
    if inode.names == nil && blockCount < Self.smallestIndexedCount {
      inode.scanCount += 1
      if inode.scanCount >= Self.scansBeforeIndex { indexNow() }
    }
    if let names = inode.names, name != Self.dotDot, name != Self.dot {
      pool.noteUse(of: inode)
      let hash = names.hash(name)
      var probe: Int?
      while let position = names.candidate(hash: hash, &probe) {
        let index = position >> UInt64(inode.table.groups.layout.blockSizeLog2)
        guard let block = blockNow(index) else { return .unknown }
        if let entry = try? entry(name, in: block, at: Int(position) & (format.blockSize - 1)) {
          return .found(block, blockIndex: index, entry)
        }
      }
      return .absent
    }
    guard blockCount < Self.smallestIndexedCount else { return .unknown }
    for index in 0..<blockCount {
      guard let block = blockNow(index), let entry = try? entry(name, in: block) as DirectoryEntry?? else {
        return .unknown
      }
      if let entry { return .found(block, blockIndex: index, entry) }
    }
    return .absent
  }

  /// A block that is in memory and was checked.
  private func blockNow(_ index: UInt64) -> MetadataBlock? {
    guard case .mapped(let number, _)? = inode.tree.lookUpCached(PageIndex(index), limit: 1),
      let block = metadata.cached(BlockNumber(rawValue: UInt32(truncatingIfNeeded: number.rawValue))), block.isChecked
    else { return nil }
    return block
  }

  /// As `find`, for who only looks: an index on the disk is believed.
  func lookUp(_ name: [UInt8], _ ticket: MetadataTicket) async throws(Ext2Error) -> Found? {
    if name != Self.dotDot && name != Self.dot {
      switch try await findHashed(name, ticket) {
      case .found(let found): return found
      case .absent: return nil
      case .unusable: break
      }
    }
    return try await find(name, ticket)
  }

  /// The entry with a name, pinned; nil when there is none.
  func find(_ name: [UInt8], _ ticket: MetadataTicket) async throws(Ext2Error) -> Found? {
    switch findNow(name) {
    case .found(let block, let index, let entry):
      ticket.pin(block)
      return Found(block: block, blockIndex: index, entry: entry)
    case .absent: return nil
    case .unknown: break
    }
    if name != Self.dotDot && name != Self.dot, let names = try await index(ticket) {
      let hash = names.hash(name)
      var probe: Int?
      while let position = names.candidate(hash: hash, &probe) {
        let index = position >> UInt64(inode.table.groups.layout.blockSizeLog2)
        let block = try await block(index, ticket)
        if let entry = try entry(name, in: block, at: Int(position) & (format.blockSize - 1)) {
          return Found(block: block, blockIndex: index, entry: entry)
        }
        ticket.unpin(block)
      }
      return nil
    }
    var damage: FormatError?
    for index in 0..<blockCount {
      let block = try await block(index, ticket)
      if let entry = try entry(name, in: block) { return Found(block: block, blockIndex: index, entry: entry) }
      if !block.isChecked { damage = damage ?? badName(in: block) }
      ticket.unpin(block)
    }
    if let damage { throw Ext2Error(damage) }
    return nil
  }

  func entry(_ name: [UInt8], in block: MetadataBlock) throws(Ext2Error) -> DirectoryEntry? {
    do throws(FormatError) {
      return try block.withBytes { bytes throws(FormatError) in
        try format.find(name.span, in: bytes, block: block.number)
      }
    } catch { throw Ext2Error(error) }
  }

  /// The entry at an offset, if it has that name.
  private func entry(_ name: [UInt8], in block: MetadataBlock, at offset: Int) throws(Ext2Error) -> DirectoryEntry? {
    do throws(FormatError) {
      return try block.withBytes { bytes throws(FormatError) in
        try format.entry(named: name.span, at: offset, in: bytes, block: block.number)
      }
    } catch { throw Ext2Error(error) }
  }

  // MARK: The index in memory

  /// The index of a directory that is worth one: made, if need be, from all its blocks. Nil: look through the blocks, also
  /// where one of them is damaged, because what lies before it can be found all the same.
  func index(_ ticket: MetadataTicket) async throws(Ext2Error) -> NameIndex? {
    if let names = inode.names {
      pool.noteUse(of: inode)
      return names
    }
    guard blockCount >= Self.smallestIndexedCount, inode.unindexableByteCount.map({ inode.byteCount < $0 }) ?? true
    else { return nil }
    let names = pool.makeIndex()
    for index in 0..<blockCount {
      do throws(Ext2Error) {
        let block = try await block(index, ticket)
        if !block.isChecked { return nil }
        do throws(FormatError) { try add(block, index, to: names) } catch { throw Ext2Error(error) }
        ticket.unpin(block)
      } catch {
        if case .corrupt = error { return nil }
        throw error
      }
      guard names.byteCount <= pool.byteLimit else {
        inode.unindexableByteCount = inode.byteCount
        return nil
      }
    }
    guard pool.makeRoom(for: names.byteCount) else { return nil }
    inode.names = names
    pool.noteUse(of: inode)
    return names
  }

  /// Makes the index of a directory whose few blocks are all in memory; one step.
  private func indexNow() {
    // Whatever stands in the way may be gone after as many scans again.
    inode.scanCount = 0
    let names = pool.makeIndex()
    for index in 0..<blockCount {
      guard let block = blockNow(index), (try? add(block, index, to: names)) != nil else { return }
    }
    guard pool.makeRoom(for: names.byteCount) else { return }
    inode.names = names
    pool.noteUse(of: inode)
  }

  private func add(_ block: MetadataBlock, _ index: UInt64, to names: NameIndex) throws(FormatError) {
    try block.withBytes { bytes throws(FormatError) in
      var offset = 0
      var room = 0
      while offset < format.blockSize {
        let entry = try format.entry(at: offset, in: bytes, block: block.number)
        room = max(room, entry.spareLength)
        if entry.isUsed { names.insert(hash: names.hash(bytes, entry.nameRange), at: position(index, entry)) }
        offset += entry.recordLength
      }
      names.appendBlock(room: room)
    }
  }

  // MARK: The whole directory

  /// What the directory's ".." names.
  func parent(_ ticket: MetadataTicket) async throws(Ext2Error) -> InodeNumber {
    guard let found = try await find(Self.dotDot, ticket) else {
      throw Ext2Error(
        FormatError.invalid(
          .inode, at: .inode(inode.number), field: "entry '..'", value: 0, why: "a directory without its parent"))
    }
    ticket.unpin(found.block)
    return found.entry.inode
  }

  /// Whether it holds nothing but "." and "..".
  func isEmpty(_ ticket: MetadataTicket) async throws(Ext2Error) -> Bool {
    for index in 0..<blockCount {
      let block = try await block(index, ticket)
      defer { ticket.unpin(block) }
      do throws(FormatError) {
        let isEmpty = try block.withBytes { bytes throws(FormatError) in
          try format.holdsOnlyDots(bytes, of: inode.number, block: block.number)
        }
        if !isEmpty { return false }
      } catch { throw Ext2Error(error) }
    }
    return true
  }

  /// Calls `body` with entries in use from a byte offset on, with the position after each, until it returns false.
  ///
  /// A position stays good while others add and remove entries: it is rounded up to where an entry begins now.
  func read(
    from position: UInt64, _ ticket: MetadataTicket, _ body: (RawSpan, DirectoryEntry, UInt64) -> Bool
  ) async throws(Ext2Error) {
    let log2 = UInt64(inode.table.groups.layout.blockSizeLog2)
    var index = position >> log2
    var start = Int(position & (1 << log2 - 1))
    while index < blockCount {
      let block = try await block(index, ticket)
      defer { ticket.unpin(block) }
      do throws(FormatError) {
        let goesOn = try block.withBytes { bytes throws(FormatError) in
          var offset = start == 0 ? 0 : try format.boundary(atOrAfter: start, in: bytes, block: block.number)
          while let entry = try format.nextUsed(from: offset, in: bytes, block: block.number) {
            offset = entry.offset + entry.recordLength
            try format.checkName(of: entry, in: bytes, block: block.number)
            guard body(bytes, entry, self.position(index, offset)) else { return false }
          }
          return true
        }
        if !goesOn { return }
      } catch { throw Ext2Error(error) }
      index += 1
      start = 0
    }
  }
}
