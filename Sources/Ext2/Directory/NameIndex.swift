// Where each name of a directory lies: in memory, so that finding a name and finding room for one take the same time
// however many there are.
//
// A table of 8 bytes a place, open addressing with linear probing:
//
//     63            31 30                                     0
//     | part of hash  | position + 1: byte offset in the directory / 4 |     0: nothing here
//
// and one byte a block for the room in it. Entries of ext2 do not move while they live, so positions stay true. The
// hash only finds candidates: whoever asks compares the name in its block.
//
// Limits: a directory of n names takes 11 to 23 bytes a name. `NameIndexPool` bounds all of them together.
internal import Ext2Format

/// The table of an index: a value, so that each call is one access to it.
private struct NameTable {
  private var slots = [UInt64](repeating: 0, count: 64)
  private var count = 0
  private static let positionBits: UInt64 = 31

  var byteCount: Int { slots.count * 8 }

  /// Returns whether the table has doubled for it.
  mutating func insert(hash: UInt64, at position: UInt64) -> Bool {
    let isFull = (count + 1) * 10 > slots.count * 7
    if isFull { grow() }
    place(slot(hash, position))
    count += 1
    return isFull
  }

  mutating func remove(hash: UInt64, at position: UInt64) {
    let wanted = slot(hash, position)
    var index = home(wanted)
    while slots[index] != wanted {
      if slots[index] == 0 { return }
      index = next(index)
    }
    count -= 1
    // What comes after it in its chain moves up, so that no mark of the removed one has to stay.
    var hole = index
    var candidate = next(index)
    while slots[candidate] != 0 {
      let distance = (candidate &- home(slots[candidate])) & (slots.count - 1)
      if distance >= (candidate &- hole) & (slots.count - 1) {
        slots[hole] = slots[candidate]
        hole = candidate
      }
      candidate = next(candidate)
    }
    slots[hole] = 0
  }

  func candidate(hash: UInt64, _ probe: inout Int?) -> UInt64? {
    let wanted = slot(hash, 0) >> Self.positionBits
    var index = probe.map(next) ?? home(slot(hash, 0))
    while slots[index] != 0 {
      if slots[index] >> Self.positionBits == wanted {
        probe = index
        return ((slots[index] & ((1 << Self.positionBits) - 1)) - 1) * 4
      }
      index = next(index)
    }
    return nil
  }

  private func slot(_ hash: UInt64, _ position: UInt64) -> UInt64 {
    (hash >> Self.positionBits) << Self.positionBits | (position / 4 + 1)
  }
  private func home(_ slot: UInt64) -> Int { Int(slot >> Self.positionBits) & (slots.count - 1) }
  private func next(_ index: Int) -> Int { (index + 1) & (slots.count - 1) }
  private mutating func place(_ slot: UInt64) {
    var index = home(slot)
    while slots[index] != 0 { index = next(index) }
    slots[index] = slot
  }
  private mutating func grow() {
    let old = slots
    slots = [UInt64](repeating: 0, count: old.count * 2)
    for slot in old where slot != 0 { place(slot) }
  }
}

final class NameIndex {
  private var table = NameTable()
  /// The most bytes a new entry may have in each block, in units of four; never too small, perhaps too large.
  private var rooms: [UInt8] = []
  /// For entries of n units: no block before this one has room.
  private var firstRoom: [Int]
  private let seed: UInt64
  /// When it was last used, by the pool's count; 0: the pool does not know it yet.
  var lastUse: UInt64 = 0

  private static let largestEntry = DirectoryEntry.neededLength(nameLength: DirectoryEntry.maximumNameLength) / 4

  init(seed: UInt64) {
    self.seed = seed
    firstRoom = [Int](repeating: 0, count: Self.largestEntry + 1)
  }

  /// What it takes in memory.
  var byteCount: Int { table.byteCount + rooms.count }
  /// Blocks it knows.
  var blockCount: Int { rooms.count }

  // MARK: Names

  /// Adds a name that lies at a byte offset of the directory. Returns whether the table has doubled for it.
  @discardableResult
  func insert(hash: UInt64, at position: UInt64) -> Bool { table.insert(hash: hash, at: position) }

  /// Removes the name at a byte offset.
  func remove(hash: UInt64, at position: UInt64) { table.remove(hash: hash, at: position) }

  /// The places where a name of that hash may lie, one after the other; start with `probe` nil. Nil: no further one.
  func candidate(hash: UInt64, _ probe: inout Int?) -> UInt64? { table.candidate(hash: hash, &probe) }

  // MARK: Room

  /// Adds the next block, with its room in bytes.
  func appendBlock(room: Int) {
    rooms.append(0)
    setRoom(room, of: rooms.count - 1)
  }

  /// The room of a block, in bytes: exact, or more than there is.
  func setRoom(_ byteCount: Int, of block: Int) {
    let units = min(byteCount / 4, Self.largestEntry)
    let before = Int(rooms[block])
    rooms[block] = UInt8(units)
    if units > before { for size in before + 1...units where firstRoom[size] > block { firstRoom[size] = block } }
  }

  /// As `setRoom`, for a block that has got room.
  func raiseRoom(to byteCount: Int, of block: Int) {
    if byteCount / 4 > Int(rooms[block]) { setRoom(byteCount, of: block) }
  }

  /// The first block that may have room for an entry of that many bytes, or nil.
  func blockWithRoom(for byteCount: Int) -> Int? {
    let units = (byteCount + 3) / 4
    var block = firstRoom[units]
    while block < rooms.count, Int(rooms[block]) < units { block += 1 }
    firstRoom[units] = block
    return block < rooms.count ? block : nil
  }

  // MARK: Hashing

  /// A hash of a name, eight bytes at a time; not that of the disk.
  func hash(_ name: [UInt8]) -> UInt64 { unsafe hash(name.span.bytes, 0..<name.count) }

  func hash(_ bytes: RawSpan, _ range: Range<Int>) -> UInt64 {
    var state = seed ^ UInt64(range.count)
    func mix(_ word: UInt64) {
      let product = (state ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
      state = product.high ^ product.low &+ word
    }
    var offset = range.lowerBound
    while offset + 8 <= range.upperBound {
      mix(bytes.integer(at: offset))
      offset += 8
    }
    var rest: UInt64 = 0
    while offset < range.upperBound {
      rest = rest << 8 | UInt64(bytes.integer(at: offset, as: UInt8.self))
      offset += 1
    }
    mix(rest)
    mix(0xD6E8_FEB8_6659_FD93)
    return state
  }
}

/// The indexes of a volume's directories, in a bounded amount of memory: those that were not used for longest go first,
/// and are made again when they are wanted.
final class NameIndexPool {
  /// What all may take together, in bytes.
  let byteLimit: Int
  private let seed: UInt64
  private var owners: [InodeNumber: Inode] = [:]
  private var useCount: UInt64 = 0

  init(byteLimit: Int, seed: UInt64) {
    self.byteLimit = byteLimit
    self.seed = seed
  }

  func makeIndex() -> NameIndex { NameIndex(seed: seed) }

  /// What all indexes take now, in bytes.
  var byteCount: Int { owners.values.reduce(0) { $0 + ($1.names?.byteCount ?? 0) } }

  /// Notes a use of a directory's index, in the step that uses or has changed it.
  func noteUse(of inode: Inode) {
    guard let names = inode.names else { return }
    useCount += 1
    if names.lastUse == 0 { owners[inode.number] = inode }
    names.lastUse = useCount
  }

  /// Whether an index of that size may be made. Drops others for it.
  func makeRoom(for byteCount: Int) -> Bool {
    guard byteCount <= byteLimit else { return false }
    trim(to: byteLimit - byteCount, keeping: nil)
    return self.byteCount + byteCount <= byteLimit
  }

  /// Notes that a directory's index has grown, in the step that has changed it: others have to go, or the index itself.
  func noteGrowth(of inode: Inode) {
    guard let names = inode.names else { return }
    if names.byteCount > byteLimit {
      inode.unindexableByteCount = inode.byteCount
      drop(inode)
    }
    trim(to: byteLimit, keeping: inode)
  }

  /// When all together take more than a limit: drops indexes, those not used for longest first, until a quarter of what
  /// all may take is free besides.
  private func trim(to limit: Int, keeping keeper: Inode?) {
    var total = byteCount
    if total <= limit { return }
    for inode in owners.values.sorted(by: { $0.names?.lastUse ?? 0 < $1.names?.lastUse ?? 0 }) where inode !== keeper {
      if total <= limit - byteLimit / 4 { break }
      total -= inode.names?.byteCount ?? 0
      drop(inode)
    }
  }

  /// The index of a directory that changed without it, or left memory.
  func drop(_ inode: Inode) {
    inode.names = nil
    owners[inode.number] = nil
  }
}
