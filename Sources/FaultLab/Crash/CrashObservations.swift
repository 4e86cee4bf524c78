// What was seen of a volume between its operations, and what was promised: from this follows what a cut may leave.
internal import Ext2Format

/// What an operation has made durable when it returns.
package enum Persistence: Sendable, Equatable {
  /// Everything (sync).
  case everything
  /// A file: its contents and its inode (fsync), or its contents alone (fdatasync).
  case file([UInt8], dataOnly: Bool)
  /// A directory's names (fsync).
  case directory([UInt8])
}

/// The tree after each operation, and what the operations promised.
package struct CrashObservations: Sendable {
  /// `trees[0]` is what was there, durably, before the first operation; `trees[n]` what the nth has left.
  package private(set) var trees: [ObservedTree]
  /// By operation, in order.
  private var promises: [(operation: Int, persistence: Persistence)] = []
  /// Of each tree, hashed with all before it.
  private var hashes: [UInt64]

  package init(start: ObservedTree) {
    trees = [start]
    hashes = [start.hash(after: 0)]
  }

  /// Notes what the next operation has left and promised.
  package mutating func add(_ tree: ObservedTree, promising persistence: [Persistence]) {
    hashes.append(tree.hash(after: hashes[hashes.count - 1]))
    trees.append(tree)
    for one in persistence { promises.append((trees.count - 1, one)) }
  }

  /// Tells apart what is expected: where it is equal, for different workloads even, so is `expectation`.
  package func expectationHash(begun: Int, ended: Int) -> UInt64 {
    var hash = StableHash(hashes[begun])
    for promise in promises where promise.operation <= ended {
      hash.add(promise.operation)
      switch promise.persistence {
      case .everything: hash.add(1)
      case .file(let path, let isDataOnly):
        hash.add(isDataOnly ? 2 : 3)
        hash.add(path)
      case .directory(let path):
        hash.add(4)
        hash.add(path)
      }
    }
    return hash.value
  }

  /// What must hold after a cut when `begun` operations had begun and `ended` had ended.
  package func expectation(begun: Int, ended: Int, blockSize: Int) -> CrashExpectation {
    var contents: [UInt32: Int] = [:], inodes: [UInt32: Int] = [:], names: [UInt32: Int] = [:]
    func promiseAll(_ tree: Int) {
      for (number, inode) in trees[tree].inodes {
        (contents[number], inodes[number]) = (tree, tree)
        if inode.type == .directory { names[number] = tree }
      }
    }
    promiseAll(0)
    for promise in promises where promise.operation <= ended {
      let tree = trees[promise.operation]
      switch promise.persistence {
      case .everything: promiseAll(promise.operation)
      case .file(let path, let isDataOnly):
        guard let number = tree.number(at: path) else { continue }
        contents[number] = promise.operation
        if !isDataOnly {
          inodes[number] = promise.operation
          if tree.inodes[number]?.type == .directory { names[number] = promise.operation }
        }
      case .directory(let path):
        guard let number = tree.number(at: path) else { continue }
        (names[number], inodes[number]) = (promise.operation, promise.operation)
      }
    }
    var expectation = CrashExpectation(hash: expectationHash(begun: begun, ended: ended))
    for number in contents.keys.sorted() {
      guard let since = contents[number], let lives = lives(number, since...begun) else { continue }
      if let file = FileExpectation(number, lives, blockSize: blockSize) { expectation.files.append(file) }
    }
    for number in inodes.keys.sorted() {
      guard let since = inodes[number], let lives = lives(number, since...begun) else { continue }
      // What pointer blocks fdatasync has made durable, a repair leaves.
      let risked = contents[number].flatMap { $0 > since ? self.lives(number, $0...begun) : nil }
      expectation.inodes.append(InodeExpectation(number, lives, RepairRisk(risked ?? lives, blockSize)))
    }
    let durableInodes = Set(expectation.inodes.map(\.number))
    for number in names.keys.sorted() {
      guard let since = names[number], let lives = lives(number, since...begun) else { continue }
      expectation.directories.append(DirectoryExpectation(number, lives, durableInodes: durableInodes))
    }
    for number in Set(trees[...begun].flatMap(\.inodes.keys)).sorted() {
      let owned = OwnedBlocks(number, changes(of: number, 0...begun).compactMap { $0 }, blockSize)
      if !owned.blocks.isEmpty { expectation.owners.append(owned) }
    }
    return expectation
  }

  /// One file through several trees; nil when it went, or another one took its inode.
  private func lives(_ number: UInt32, _ range: ClosedRange<Int>) -> [ObservedInode]? {
    var lives: [ObservedInode] = []
    for life in changes(of: number, range) {
      guard let life else { return nil }
      if let first = lives.first, life.generation != first.generation || life.type != first.type { return nil }
      lives.append(life)
    }
    return lives
  }

  /// What an inode was in several trees, without repetitions; nil: not in use.
  private func changes(of number: UInt32, _ range: ClosedRange<Int>) -> [ObservedInode?] {
    var changes: [ObservedInode?] = [], last: UInt64?
    for tree in trees[range] {
      let hash = tree.hashes[number]
      if changes.isEmpty || hash != last { changes.append(tree.inodes[number]) }
      last = hash
    }
    return changes
  }
}

/// Everything that a state has to keep.
package struct CrashExpectation: Sendable {
  /// See `CrashObservations.expectationHash`.
  let hash: UInt64
  package var files: [FileExpectation] = []
  package var inodes: [InodeExpectation] = []
  package var directories: [DirectoryExpectation] = []
  package var owners: [OwnedBlocks] = []
}

/// The contents of a file, as they were promised, and what they may have become since.
package struct FileExpectation: Sendable {
  package let number: UInt32
  let sizes: ClosedRange<Int>
  var sizesText: String { sizes.count == 1 ? "\(sizes.lowerBound)" : "\(sizes.lowerBound) to \(sizes.upperBound)" }
  /// Of each block of the promise: its contents then and since, each once; and whether it may show anything, because it
  /// was a hole and has got a block since, or hangs on a pointer block that is new.
  let blocks: [(versions: [[UInt8]], mayBeAnything: Bool)]
  let risk: RepairRisk

  /// Nil when nothing holds any more, because blocks of the file were freed since.
  init?(_ number: UInt32, _ lives: [ObservedInode], blockSize: Int) {
    guard let promised = lives.first, promised.type == .regular || promised.type == .symbolicLink else { return nil }
    if promised.type == .symbolicLink { return nil }
    for (index, life) in lives.enumerated().dropFirst() {
      let before = lives[index - 1].blocks
      for block in before.indices where before[block] != 0 {
        guard block < life.blocks.count, life.blocks[block] == before[block] else { return nil }
      }
    }
    self.number = number
    let counts = lives.map(\.contents.count)
    sizes = (counts.min() ?? 0)...(counts.max() ?? 0)
    let new = BlockPlaces.added(in: lives, blockSize)
    risk = RepairRisk(lives, blockSize)
    blocks = promised.blocks.indices.map { block in
      var versions: [[UInt8]] = []
      for life in lives {
        let bytes = life.bytes(ofBlock: block, blockSize)
        if !versions.contains(bytes) { versions.append(bytes) }
      }
      let isHole = promised.blocks[block] == 0
      return (versions, isHole && !new.isDisjoint(with: BlockPlaces.onWay(to: block, blockSize)))
    }
  }
}

/// Whether e2fsck may take a file away, or a directory, that was promised.
struct RepairRisk: Sendable {
  /// Whether it has got a pointer block since, or freed one: where that has other contents, most of its pointers lead out
  /// of the volume, and e2fsck takes such an inode away (e2fsck/pass1.c, PR_1_TOO_MANY_BAD_BLOCKS).
  let mayBeCleared: Bool
  /// Whether a file may have no block, for data or attributes, and no attribute in its inode. Where no name leads to it
  /// either, it is nothing to a repair (e2fsck/pass4.c, disconnect_inode).
  let mayHaveNoBlock: Bool

  init(_ lives: [ObservedInode], _ blockSize: Int) {
    mayHaveNoBlock =
      lives[0].type == .regular
      && lives.contains { $0.attributes.isEmpty && $0.blocks.allSatisfy { $0 == 0 } }
    if lives.count == 1 {
      mayBeCleared = false
      return
    }
    let pointers = BlockPlaces.pointers(lives[0], blockSize)
    mayBeCleared = lives.dropFirst().contains { BlockPlaces.pointers($0, blockSize) != pointers }
  }
}

/// Pointer blocks and blocks of a file, by the indices of the pointers that lead there.
private enum BlockPlaces {
  /// What lies on the ways to the mapped blocks of all lives but the first, and not in that.
  static func added(in lives: [ObservedInode], _ blockSize: Int) -> Set<UInt64> {
    if lives.count == 1 { return [] }
    return places(of: lives.dropFirst(), blockSize).subtracting(places(of: lives.prefix(1), blockSize))
  }

  private static func places(of lives: ArraySlice<ObservedInode>, _ blockSize: Int) -> Set<UInt64> {
    var places: Set<UInt64> = []
    for life in lives {
      for block in life.blocks.indices where life.blocks[block] != 0 {
        places.formUnion(onWay(to: block, blockSize))
      }
    }
    return places
  }

  static func pointers(_ life: ObservedInode, _ blockSize: Int) -> Set<UInt64> {
    var pointers: Set<UInt64> = []
    let count = max(life.blocks.count, life.directoryBlockCount)
    for block in (0..<count).dropFirst(InodeRecord.directBlockCount)
    where block >= life.blocks.count || life.blocks[block] != 0 {
      pointers.formUnion(onWay(to: block, blockSize).dropLast())
    }
    return pointers
  }

  /// The pointer blocks above a block, from the inode on, and the block: of each the indices on the way, one more than
  /// each, 15 bits an index.
  static func onWay(to block: Int, _ blockSize: Int) -> [UInt64] {
    guard let path = BlockPath(fileBlock: UInt64(block), blockSizeLog2: blockSize.trailingZeroBitCount) else {
      return []
    }
    var place: UInt64 = 0
    return (0..<path.depth).map { level in
      place = place << 15 | UInt64(path.offsets[level] + 1)
      return place
    }
  }
}

/// Owner, mode and attributes of an inode.
package struct InodeExpectation: Sendable {
  package let number: UInt32
  let type: InodeType
  let permissions: Set<UInt16>
  let users: Set<UInt32>
  let groups: Set<UInt32>
  /// Nil when they have changed since.
  let attributes: [[UInt8]: [UInt8]]?
  /// The target of a symbolic link, which never changes.
  let target: [UInt8]
  let risk: RepairRisk

  init(_ number: UInt32, _ lives: [ObservedInode], _ risk: RepairRisk) {
    self.number = number
    self.risk = risk
    type = lives[0].type
    target = type == .symbolicLink ? lives[0].contents : []
    permissions = Set(lives.map(\.permissions))
    users = Set(lives.map(\.user))
    groups = Set(lives.map(\.group))
    attributes = lives.allSatisfy { $0.attributes == lives[0].attributes } ? lives[0].attributes : nil
  }
}

/// What the names of a directory may refer to; 0: a name may be missing.
package struct DirectoryExpectation: Sendable {
  package let number: UInt32
  /// In order.
  let names: [(name: [UInt8], inodes: Set<UInt32>)]
  /// Names that every state has, in order, and the inode of each that was promised as well.
  let durableNames: [(name: [UInt8], inode: UInt32)]

  init(_ number: UInt32, _ lives: [ObservedInode], durableInodes: Set<UInt32>) {
    self.number = number
    var inodes = lives[0].entries.mapValues { Set([$0]) }
    for life in lives.dropFirst() {
      for name in life.entries.keys where inodes[name] == nil { inodes[name] = [lives[0].entries[name] ?? 0] }
    }
    for life in lives.dropFirst() { for name in inodes.keys { inodes[name]?.insert(life.entries[name] ?? 0) } }
    names = inodes.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { (name: $0.key, inodes: $0.value) }
    durableNames = names.compactMap { name, inodes in
      guard inodes.count == 1, let inode = inodes.first, durableInodes.contains(inode) else { return nil }
      return (name, inode)
    }
  }
}

/// What a file had in each disk block that was ever its own: whoever finds anything else there looks at another file's
/// bytes, or at old ones.
package struct OwnedBlocks: Sendable {
  package let number: UInt32
  /// By file block: the disk blocks it had, and the contents in each.
  let blocks: [[(disk: UInt32, versions: [[UInt8]])]]

  init(_ number: UInt32, _ lives: [ObservedInode], _ blockSize: Int) {
    self.number = number
    let count = lives.map(\.blocks.count).max() ?? 0
    blocks = (0..<count).map { block in
      var places: [(disk: UInt32, versions: [[UInt8]])] = []
      for life in lives where block < life.blocks.count && life.blocks[block] != 0 {
        let bytes = life.bytes(ofBlock: block, blockSize)
        if let known = places.firstIndex(where: { $0.disk == life.blocks[block] }) {
          if !places[known].versions.contains(bytes) { places[known].versions.append(bytes) }
        } else {
          places.append((life.blocks[block], [bytes]))
        }
      }
      return places
    }
  }
}

extension ObservedInode {
  /// A block's bytes, with zeroes behind the end of the file.
  func bytes(ofBlock block: Int, _ blockSize: Int) -> [UInt8] {
    let start = min(contents.count, block * blockSize)
    let bytes = Array(contents[start..<min(contents.count, start + blockSize)])
    return bytes + [UInt8](repeating: 0, count: blockSize - bytes.count)
  }
}
