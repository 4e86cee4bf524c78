/// Whether an operation has left the tree as it was, or as it should be.
struct SweepComparison {
  private let operation: SweepOperation
  private let old: [UInt32: ObservedInode]
  private let new: [UInt32: ObservedInode]

  init(_ operation: SweepOperation, _ reference: SweepReference) {
    self.operation = operation
    old = Self.placeless(reference.old)
    new = Self.placeless(reference.new)
  }

  /// Where blocks lie is nobody's business.
  private static func placeless(_ tree: ObservedTree) -> [UInt32: ObservedInode] {
    tree.inodes.mapValues { inode in
      var inode = inode
      inode.blocks = []
      return inode
    }
  }

  /// What is neither old nor new; nil when nothing is.
  func difference(of found: ObservedTree, hasFailed: Bool) -> String? {
    let found = Self.placeless(found)
    if !hasFailed { return difference(found, new).map { "the call succeeded, but \($0)" } }
    guard let text = difference(found, old) else { return nil }
    if operation.mayBeDone && difference(found, new) == nil { return nil }
    if operation.isPiecewise && isPartOf(found) { return nil }
    return "the call failed, but \(text)"
  }

  private func difference(_ found: [UInt32: ObservedInode], _ expected: [UInt32: ObservedInode]) -> String? {
    for number in Set(found.keys).union(expected.keys).sorted() where found[number] != expected[number] {
      guard let one = found[number] else { return "inode \(number) is missing" }
      guard let other = expected[number] else { return "inode \(number) is there" }
      if one.contents.count != other.contents.count {
        return "inode \(number) has \(one.contents.count) bytes and not \(other.contents.count)"
      }
      if let byte = one.contents.indices.first(where: { one.contents[$0] != other.contents[$0] }) {
        return "inode \(number), byte \(byte), is not what it should be"
      }
      if one.entries != other.entries { return "the names of directory \(number) are not what they should be" }
      if one.attributes != other.attributes { return "the attributes of inode \(number) are not what they should be" }
      return "inode \(number) is not what it should be"
    }
    return nil
  }

  /// Whether only contents have changed, and each byte is old or new.
  private func isPartOf(_ found: [UInt32: ObservedInode]) -> Bool {
    guard found.keys == old.keys else { return false }
    for (number, inode) in found {
      guard var before = old[number], var after = new[number] else { return false }
      let least = min(before.contents.count, after.contents.count)
      let most = max(before.contents.count, after.contents.count)
      guard least...most ~= inode.contents.count else { return false }
      for (index, byte) in inode.contents.enumerated() {
        let isOld = byte == (index < before.contents.count ? before.contents[index] : 0)
        guard isOld || index < after.contents.count && byte == after.contents[index] else { return false }
      }
      var rest = inode
      (rest.contents, before.contents, after.contents) = ([], [], [])
      guard rest == before || rest == after else { return false }
    }
    return true
  }
}
