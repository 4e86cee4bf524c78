/// The inodes in use, in ascending order: what later passes have to know of each.
struct UsedInodes {
  /// One inode. Sixteen bytes.
  struct Entry {
    let number: UInt32
    /// Entries that name it, as counted.
    var counted: UInt32 = 0
    /// Its place among the directories; `UsedInodes.none` for others.
    var directory: UInt32
    /// Entries that name it, as it says.
    let links: UInt16
    /// Its type as a directory entry tells it; 0 when it has none.
    let typeCode: UInt8
    let flags: Flags
  }
  struct Flags: OptionSet {
    let rawValue: UInt8
    /// Has a hash index.
    static let index = Flags(rawValue: 1)
    /// Need not be named by anything (AFS).
    static let imagic = Flags(rawValue: 2)
    /// One of the inodes that the format keeps for itself.
    static let reserved = Flags(rawValue: 4)
    /// Owns no block and is a regular file or a directory.
    static let empty = Flags(rawValue: 8)
    /// A field is wrong; its type is not believed.
    static let bad = Flags(rawValue: 16)
  }
  static let none = UInt32.max

  private(set) var entries: [Entry] = []
  /// Where those of a group begin; one more than there are groups.
  private var groupStarts: [UInt32] = []

  mutating func reset() {
    entries.removeAll(keepingCapacity: true)
    groupStarts.removeAll(keepingCapacity: true)
  }

  /// Says that the inodes of the next group follow, or that there is none.
  mutating func beginGroup() { groupStarts.append(UInt32(entries.count)) }

  /// Adds an inode; its number must be higher than that of the one before.
  @inline(__always)
  mutating func append(_ entry: Entry) { entries.append(entry) }

  /// The place of an inode among those in use, or nil.
  @inline(__always)
  func index(of number: UInt32, group: UInt32) -> Int? {
    var low = Int(groupStarts[Int(group)])
    let end = Int(groupStarts[Int(group) + 1])
    guard low < end else { return nil }
    // Inodes are given out in order: nearly always it stands where it would without a gap.
    let first = entries[low].number
    guard number >= first else { return nil }
    let guess = low + Int(number - first)
    if guess < end, entries[guess].number == number { return guess }
    var high = min(end, guess)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].number < number { low = middle + 1 } else { high = middle }
    }
    return low < end && entries[low].number == number ? low : nil
  }

  /// The inodes of a group.
  func range(of group: UInt32) -> Range<Int> {
    Int(groupStarts[Int(group)])..<Int(groupStarts[Int(group) + 1])
  }

  @inline(__always)
  mutating func count(_ index: Int) { entries[index].counted &+= 1 }

  mutating func setDirectory(_ index: Int, _ directory: UInt32) { entries[index].directory = directory }
}
