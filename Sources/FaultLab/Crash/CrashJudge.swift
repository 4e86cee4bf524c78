// Judges one state of an ext2 volume: our checker, and what was promised, under two contracts.
internal import Ext2
package import Ext2Format
package import Ext2Tools

#if canImport(Glibc)
  internal import Glibc
#endif

/// One way in which a state is not what it has to be.
public struct CrashFinding: Sendable, Equatable, CustomStringConvertible {
  /// What is broken, in one word for scripts: `promise`, `clean-flag`, `unreadable`, `run`, …, or, of the ordered contract,
  /// `structure` and `foreign-bytes`.
  public let kind: String
  /// The sentence for people.
  public let text: String
  /// The inode that it is about, if it is about one.
  public var inode: UInt32?
  /// Where it has bytes that it should not have.
  var place: Place?
  struct Place: Sendable, Equatable {
    let fileBlock: Int
    /// 0: a hole.
    let diskBlock: UInt32
    /// Of the first sector that is wrong, in the block.
    let offset: Int
  }
  public var description: String { "\(kind): \(text)" }
}

/// What was found in one state.
package struct CrashVerdict: Equatable {
  /// Against what a file system without a journal and without ordering promises.
  package var findings: [CrashFinding] = []
  /// Against what one with ordering would promise.
  package var orderedFindings: [CrashFinding] = []
  /// Whether there is more to mend than `e2fsck -p` would.
  package var isSerious = false
  package var isMarkedClean = false
}

/// Keeps the memory of the checker from one state to the next.
package final class CrashJudge {
  var raw: RawVolume
  private let checker = VolumeChecker()
  let zeroes: [UInt8]
  let imageByteCount: Int
  package init(_ base: [UInt8]) throws(FormatError) {
    raw = try RawVolume(base)
    zeroes = [UInt8](repeating: 0, count: raw.blockSize)
    imageByteCount = base.count
  }
  package var blockSize: Int { raw.blockSize }

  /// Kinds of findings that the ordered contract allows: leaked blocks and inodes, and wrong counts.
  static let leaks: Set<CheckFinding.Kind> = [
    .blockMarkedUsed, .inodeMarkedUsed, .groupFreeBlocks, .groupFreeInodes, .groupDirectories, .freeBlocks, .freeInodes,
    .inodeUnattached, .emptyInodeUnattached, .directoryUnconnected, .linkCount, .inodeBlocks, .attributeReferences,
  ]

  /// Whether the checker finds more in an image than the ordered contract allows, or cannot read it at all.
  static func breaksOrder(_ image: [UInt8]) -> Bool {
    guard let report = try? VolumeChecker().check(MemoryBytes(image)) else { return true }
    return report.findings.contains { $0.kind.weight != .note && !leaks.contains($0.kind) }
  }

  /// - Parameters:
  ///   - isRepaired: a repair has begun, and may have taken names away whose inodes were never promised.
  ///   - memory: what was found in the state before, of the same image.
  package func judge(
    _ image: MemoryBytes, _ expected: CrashExpectation, isRepaired: Bool = false, memory: JudgeMemory? = nil
  ) -> CrashVerdict {
    let memory = memory ?? JudgeMemory(imageByteCount: imageByteCount)
    memory.prepare(for: expected)
    let checked = memory.check.value { check(WatchedBytes(image, $0)) }
    if checked.isUnreadable { return checked.verdict }
    var verdict = checked.verdict
    let contents = image.bytes
    let bytes = unsafe contents.span.bytes
    verdict.findings += broken(expected, in: bytes, isRepaired: isRepaired, memory)
    for (index, owner) in expected.owners.enumerated() {
      if let foreign = memory.owners[index].value({ foreignBytes(owner, in: bytes, $0) }) {
        verdict.orderedFindings.append(foreign)
        break
      }
    }
    return verdict
  }

  /// What the checker says, and whether it could say anything.
  private func check(_ image: WatchedBytes) -> (verdict: CrashVerdict, isUnreadable: Bool) {
    var verdict = CrashVerdict()
    do {
      let report = try checker.check(image)
      verdict.isSerious = report.seriousCount > 0
      let contents = image.image.bytes
      verdict.isMarkedClean = RawVolume.isMarkedClean(unsafe contents.span.bytes)
      if !report.isClean && verdict.isMarkedClean {
        let first = report.findings.first { $0.kind.weight != .note }
        verdict.findings.append(
          CrashFinding(kind: "clean-flag", text: "the volume is marked clean, but \(first.map { "\($0)" } ?? "")"))
      }
      if let broken = report.findings.first(where: { $0.kind.weight != .note && !Self.leaks.contains($0.kind) }) {
        verdict.orderedFindings.append(CrashFinding(kind: "structure", text: "\(broken)"))
      }
      return (verdict, false)
    } catch {
      verdict.isSerious = true
      verdict.findings.append(CrashFinding(kind: "unreadable", text: "\(error)"))
      return (verdict, true)
    }
  }

  /// What of the promises does not hold after `e2fsck -fy`, which may have given a file other blocks, and taken names away
  /// whose inodes were never promised.
  ///
  /// It also clears, in what it takes for a pointer block, all that is no pointer (e2fsck/pass1.c,
  /// PR_1_ILLEGAL_BLOCK_NUM): in a block that another file had for one until it was cut short, or that the old contents of
  /// one that is new lead to. Whatever has such a block before the repair is excused.
  package func brokenAfterRepair(
    _ image: [UInt8], of before: [UInt8], _ expected: CrashExpectation
  ) -> [CrashFinding] {
    let memory = JudgeMemory(imageByteCount: imageByteCount)
    memory.prepare(for: expected)
    let findings = broken(expected, in: unsafe image.span.bytes, isRepaired: true, memory)
    if findings.isEmpty { return [] }
    let bytes = unsafe before.span.bytes, pointers = raw.pointerBlocks(in: bytes)
    return findings.filter { finding in
      guard let number = finding.inode, let inode = raw.inode(number, in: bytes) else { return true }
      let count = (Int(clamping: min(inode.byteCount, raw.layout.byteCount)) + blockSize - 1) / blockSize
      let blocks = finding.place.map { $0.fileBlock..<$0.fileBlock + 1 } ?? 0..<count
      return !blocks.contains { index in raw.block(index, of: inode, in: bytes).map(pointers.contains) ?? false }
    }
  }

  /// What of the promises does not hold. `isRepaired`: see `brokenAfterRepair`.
  private func broken(
    _ expected: CrashExpectation, in image: RawSpan, isRepaired: Bool, _ memory: JudgeMemory
  ) -> [CrashFinding] {
    var findings: [CrashFinding] = []
    func miss(_ text: String, _ inode: UInt32) {
      findings.append(CrashFinding(kind: "promise", text: text, inode: inode))
    }
    let cleared = isRepaired ? Set(expected.inodes.filter(\.risk.mayBeCleared).map(\.number)) : []
    let named =
      isRepaired
      ? Set(expected.directories.filter { !cleared.contains($0.number) }.flatMap { $0.durableNames.map(\.inode) }) : []
    func mayBeGone(_ number: UInt32, _ risk: RepairRisk) -> Bool {
      isRepaired && (risk.mayBeCleared || risk.mayHaveNoBlock && !named.contains(number)) && isGone(number, image)
    }
    func answer<Answer>(_ place: inout Watched<Answer>, _ look: () -> Answer) -> Answer {
      place.value { reads in
        raw.reads = reads
        defer { raw.reads = nil }
        return look()
      }
    }
    for (index, file) in expected.files.enumerated() where !mayBeGone(file.number, file.risk) {
      if let finding = answer(&memory.files[index], { broken(file, image, isRepaired) }) { findings.append(finding) }
    }
    for (index, inode) in expected.inodes.enumerated() where !mayBeGone(inode.number, inode.risk) {
      if let text = answer(&memory.inodes[index], { broken(inode, image) }) { miss(text, inode.number) }
    }
    for (index, directory) in expected.directories.enumerated()
    where !cleared.contains(directory.number) || !isGone(directory.number, image) {
      let text = answer(&memory.directories[index]) {
        isRepaired ? lostName(of: directory, expected, image) : broken(directory, image)
      }
      if let text { miss(text, directory.number) }
    }
    return findings
  }

  /// Whether a repair has taken an inode away. The root directory is made anew.
  private func isGone(_ number: UInt32, _ image: RawSpan) -> Bool {
    number == InodeNumber.root.rawValue || raw.inode(number, in: image).map { !$0.isUsed } ?? true
  }

  // MARK: Promises

  private func broken(_ file: FileExpectation, _ image: RawSpan, _ isRepaired: Bool) -> CrashFinding? {
    func finding(_ text: String, _ place: CrashFinding.Place? = nil) -> CrashFinding {
      CrashFinding(kind: "promise", text: "inode \(file.number) \(text)", inode: file.number, place: place)
    }
    guard let inode = raw.inode(file.number, in: image), inode.isUsed, inode.type == .regular else {
      return finding("is not a file any more")
    }
    // A repair lets a file reach to the end of its last block where that is the only size that its blocks fit, and that may
    // be one that the old contents of a pointer block lead to.
    var most = UInt64(file.sizes.upperBound)
    if isRepaired {
      most = file.risk.mayBeCleared ? .max : (most + UInt64(blockSize) - 1) / UInt64(blockSize) * UInt64(blockSize)
    }
    guard (UInt64(file.sizes.lowerBound)...most).contains(inode.byteCount) else {
      return finding("has \(inode.byteCount) bytes; promised: \(file.sizesText)")
    }
    for (index, block) in file.blocks.enumerated() where !block.mayBeAnything {
      let count = min(blockSize, Int(inode.byteCount) - index * blockSize)
      if count <= 0 { break }
      guard let disk = raw.block(index, of: inode, in: image) else {
        return finding("block \(index): the pointer leads out of the volume")
      }
      if let offset = firstDifference(block.versions, disk, count, image) {
        return finding(
          "block \(index), disk block \(disk): not the promised bytes",
          CrashFinding.Place(fileBlock: index, diskBlock: disk, offset: offset))
      }
    }
    return nil
  }

  /// The first sector of a disk block that is in none of the versions; nil: each is. Block 0 is a hole.
  private func firstDifference(_ versions: [[UInt8]], _ disk: UInt32, _ count: Int, _ image: RawSpan) -> Int? {
    let start = disk == 0 ? nil : raw.offset(of: disk, in: image)
    if let start { raw.reads?.insert(bytes: start..<start + count) }
    return stride(from: 0, to: count, by: 512).first { sector in
      let length = min(512, count - sector)
      return !versions.contains { version in
        guard let start else { return equal(zeroes, 0, version, sector, length) }
        return equal(image, start + sector, version, sector, length)
      }
    }
  }

  private func equal(_ image: RawSpan, _ start: Int, _ bytes: [UInt8], _ offset: Int, _ count: Int) -> Bool {
    precondition(start + count <= image.byteCount && offset + count <= bytes.count)
    return unsafe image.withUnsafeBytes { left in
      unsafe bytes.withUnsafeBytes { right in
        guard let one = left.baseAddress, let other = right.baseAddress else { return count == 0 }
        return unsafe memcmp(one + start, other + offset, count) == 0
      }
    }
  }

  private func equal(_ left: [UInt8], _ start: Int, _ right: [UInt8], _ offset: Int, _ count: Int) -> Bool {
    left[start..<start + count] == right[offset..<offset + count]
  }

  private func broken(_ expected: InodeExpectation, _ image: RawSpan) -> String? {
    guard let inode = raw.inode(expected.number, in: image), inode.isUsed, inode.type == expected.type else {
      return "inode \(expected.number) is not what it was"
    }
    guard expected.permissions.contains(FileMode(rawValue: inode.mode).permissions),
      expected.users.contains(inode.user), expected.groups.contains(inode.group)
    else { return "inode \(expected.number): not the promised mode or owner" }
    // While they change, their block is one that was just allocated, or shared by then.
    if let attributes = expected.attributes, raw.attributes(of: inode, in: image) != attributes {
      return "inode \(expected.number): not the promised attributes"
    }
    return nil
  }

  /// A name that a repair has taken away although its inode was promised, too. A directory that a rename had left in two
  /// places may lose either name.
  private func lostName(
    of directory: DirectoryExpectation, _ expected: CrashExpectation, _ image: RawSpan
  ) -> String? {
    guard let found = entries(of: directory.number, image) else {
      return "inode \(directory.number) is not a directory any more"
    }
    for entry in directory.durableNames where found[entry.name] != entry.inode {
      let mayBeCleared = expected.inodes.contains { $0.number == entry.inode && $0.risk.mayBeCleared }
      if mayBeCleared && found[entry.name] == nil && isGone(entry.inode, image) { continue }
      let isDirectory = raw.inode(entry.inode, in: image)?.type == .directory
      let isElsewhere = expected.directories.contains {
        entries(of: $0.number, image)?.values.contains(entry.inode) == true
      }
      if isDirectory && isElsewhere { continue }
      return "directory \(directory.number): \(CheckFinding.printable(entry.name)) is missing"
    }
    return nil
  }

  private func entries(of number: UInt32, _ image: RawSpan) -> [[UInt8]: UInt32]? {
    guard let inode = raw.inode(number, in: image), inode.isUsed else { return nil }
    return raw.entries(of: inode, in: image)
  }

  private func broken(_ expected: DirectoryExpectation, _ image: RawSpan) -> String? {
    guard let found = entries(of: expected.number, image) else {
      return "inode \(expected.number) is not a directory that can be read"
    }
    var expectedCount = 0
    for (name, allowed) in expected.names {
      let inode = found[name]
      if inode != nil { expectedCount += 1 }
      guard allowed.contains(inode ?? 0) else {
        let text = CheckFinding.printable(name)
        return "directory \(expected.number): \(text) " + (inode.map { "is inode \($0)" } ?? "is missing")
      }
    }
    if found.count == expectedCount { return nil }
    var foreign = Set(found.keys).subtracting(expected.names.map(\.name))
    if let inode = raw.inode(expected.number, in: image) { foreign.subtract(raw.splitNames(of: inode, in: image)) }
    return foreign.min { $0.lexicographicallyPrecedes($1) }.map {
      "directory \(expected.number): \(CheckFinding.printable($0)) is there again"
    }
  }

  // MARK: The ordered contract

  private func foreignBytes(_ owner: OwnedBlocks, in image: RawSpan, _ reads: SectorSet) -> CrashFinding? {
    raw.reads = reads
    defer { raw.reads = nil }
    guard let inode = raw.inode(owner.number, in: image), inode.isUsed, inode.type == .regular else { return nil }
    for (index, places) in owner.blocks.enumerated() {
      let count = min(blockSize, Int(clamping: inode.byteCount) - index * blockSize)
      guard count > 0 else { break }
      guard let disk = raw.block(index, of: inode, in: image), disk != 0 else { continue }
      let versions = places.first { $0.disk == disk }?.versions ?? []
      if let offset = firstDifference([zeroes] + versions, disk, count, image) {
        return CrashFinding(
          kind: "foreign-bytes",
          text: "inode \(owner.number) block \(index), disk block \(disk): bytes it never had there",
          inode: owner.number, place: CrashFinding.Place(fileBlock: index, diskBlock: disk, offset: offset))
      }
    }
    return nil
  }
}

/// What was found in one state, for the next.
package final class JudgeMemory {
  /// The sectors that have changed since the state before.
  package let changes: SectorSet
  private let imageByteCount: Int
  private var expectation: UInt64?
  fileprivate var check: Watched<(verdict: CrashVerdict, isUnreadable: Bool)>
  fileprivate var files: [Watched<CrashFinding?>] = []
  fileprivate var inodes: [Watched<String?>] = []
  fileprivate var directories: [Watched<String?>] = []
  fileprivate var owners: [Watched<CrashFinding?>] = []

  package init(imageByteCount: Int) {
    self.imageByteCount = imageByteCount
    changes = SectorSet(imageByteCount: imageByteCount)
    check = Watched(imageByteCount: imageByteCount)
  }

  /// Forgets what the changes, or another expectation, make doubtful.
  fileprivate func prepare(for expected: CrashExpectation) {
    check.forget(after: changes)
    if let expectation, expectation == expected.hash {
      for index in files.indices { files[index].forget(after: changes) }
      for index in inodes.indices { inodes[index].forget(after: changes) }
      for index in directories.indices { directories[index].forget(after: changes) }
      for index in owners.indices { owners[index].forget(after: changes) }
    } else {
      expectation = expected.hash
      files = expected.files.map { _ in Watched(imageByteCount: imageByteCount) }
      inodes = expected.inodes.map { _ in Watched(imageByteCount: imageByteCount) }
      directories = expected.directories.map { _ in Watched(imageByteCount: imageByteCount) }
      owners = expected.owners.map { _ in Watched(imageByteCount: imageByteCount) }
    }
    changes.removeAll()
  }
}
