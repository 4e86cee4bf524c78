internal import Ext2Format
internal import Reactor
internal import SystemPackage

/// Draws operations that make sense on a tree: mostly on what is there, and now and then on what is not.
package struct TreeGenerator {
  private var random: SeededGenerator
  private let model: TreeModel
  /// How far files reach, in blocks; now and then much further, for double and triple indirect blocks.
  private let reach: Int

  package init(seed: UInt64, blockSize: Int) {
    random = SeededGenerator(seed: seed)
    model = TreeModel(blockSize: blockSize)
    reach = blockSize <= 4096 ? 24 : 6
  }

  /// A sequence of operations that a seed determines.
  package static func operations(seed: UInt64, blockSize: Int, count: Int) -> [TreeOperation] {
    var generator = TreeGenerator(seed: seed, blockSize: blockSize)
    var operations: [TreeOperation] = []
    for _ in 0..<count {
      let operation = generator.next()
      operations.append(operation)
      try? generator.model.apply(operation)
    }
    return operations
  }

  private mutating func next() -> TreeOperation {
    switch random.below(100) {
    case 0..<12: return .makeFile(newPath(), permissions: permissions())
    case 12..<20: return .makeDirectory(newPath(), permissions: permissions())
    case 20..<24: return .makeSymbolicLink(newPath(), target: target())
    case 24..<27:
      let types: [InodeType] = [.fifo, .socket, .blockDevice, .characterDevice]
      let isLarge = random.oneIn(2)
      return .makeNode(
        newPath(), types[random.below(4)], major: UInt32(random.below(isLarge ? 4096 : 256)),
        minor: UInt32(random.below(isLarge ? 1 << 20 : 256)))
    case 27..<32: return .link(anyPath(), newPath())
    case 32..<40: return .unlink(anyPath { $0.type != .directory })
    case 40..<44: return .removeDirectory(anyPath { $0.type == .directory })
    case 44..<56: return .rename(anyPath(), random.oneIn(3) ? anyPath() : newPath(), noReplace: random.oneIn(5))
    case 56..<72:
      return .write(filePath(), offset: offset(), count: 1 + random.below(3 * model.blockSize), stamp: stamp())
    case 72..<77: return .truncate(filePath(), random.oneIn(4) ? 0 : offset())
    case 77..<80: return .punch(filePath(), range())
    case 80..<82: return .zero(filePath(), range(), keepSize: random.oneIn(2))
    case 82..<84: return .allocate(filePath(), range())
    case 84..<87: return .changeMode(anyPath { $0.type != .symbolicLink }, permissions())
    case 87..<90:
      return .changeOwner(
        anyPath { $0.type != .symbolicLink }, user: UInt32(random.below(3) * 40_000),
        group: UInt32(truncatingIfNeeded: random.next() >> UInt64(random.below(64))))
    case 90..<93:
      return .setTimes(
        anyPath { $0.type != .symbolicLink }, seconds: Int64(random.below(1 << 31)),
        nanoseconds: UInt32(random.below(1_000_000_000)))
    case 93..<96: return .synchronizeFile(filePath())
    case 96..<98: return .synchronize
    default: return random.oneIn(3) ? .remount : .synchronize
    }
  }

  // MARK: Parts

  private mutating func stamp() -> UInt8 { UInt8(random.below(256)) }
  private mutating func permissions() -> UInt16 { UInt16(random.below(0o10000)) }
  private mutating func offset() -> UInt64 {
    let size = UInt64(model.blockSize), pointers = size / 4
    var block = UInt64(random.below(reach))
    if random.oneIn(8) { block += 12 }
    if random.oneIn(20) { block += 12 + pointers }
    if random.oneIn(40) { block += 12 + pointers + pointers * pointers }
    return block * size + (random.oneIn(2) ? UInt64(random.below(model.blockSize)) : 0)
  }
  private mutating func range() -> Range<UInt64> {
    let start = offset()
    return start..<start + 1 + UInt64(random.below(4 * model.blockSize))
  }

  /// Every path there is, in an order that the tree alone determines.
  private func paths(where matches: (TreeModel.Node) -> Bool) -> [[UInt8]] {
    var paths: [[UInt8]] = []
    func visit(_ node: TreeModel.Node, _ path: [UInt8]) {
      for name in node.entries.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
        guard let child = node.entries[name] else { continue }
        let childPath = path + [0x2F] + name
        if matches(child) { paths.append(childPath) }
        if child.type == .directory { visit(child, childPath) }
      }
    }
    visit(model.root, [])
    return paths
  }

  private mutating func anyPath(_ matches: (TreeModel.Node) -> Bool = { _ in true }) -> [UInt8] {
    if random.oneIn(25) { return newPath() }
    if random.oneIn(40) { return Array((random.oneIn(2) ? "/" : "/lost+found/..").utf8) }
    let paths = paths(where: matches)
    return paths.isEmpty ? newPath() : paths[random.below(paths.count)]
  }
  private mutating func filePath() -> [UInt8] { anyPath { $0.type == .regular || $0.type == .symbolicLink } }

  /// A path whose name may or may not exist, in a directory that mostly does.
  private mutating func newPath() -> [UInt8] {
    let directories = [[]] + paths { $0.type == .directory || $0.type == .symbolicLink }
    var parent = directories[random.below(directories.count)]
    // Not too deep: paths have their limits elsewhere.
    if parent.count > 1500 { parent = [] }
    return parent + [0x2F] + name()
  }

  private mutating func name() -> [UInt8] {
    switch random.below(20) {
    case 0: return [UInt8](repeating: UInt8(0x61 + random.below(26)), count: 200 + random.below(60))
    case 1: return (0..<1 + random.below(12)).map { _ in odd() }
    case 2: return Array("name with spaces \(random.below(10))".utf8)
    default: return Array("n\(random.below(40))".utf8)
    }
  }
  /// Any byte of a name, but for the end of a line, which debugfs cannot list.
  private mutating func odd() -> UInt8 {
    let byte = UInt8(random.below(256))
    return byte == 0 || byte == 0x2F || byte == 0x0A || byte == 0x0D ? 0x5F : byte
  }
  private mutating func target() -> [UInt8] {
    switch random.below(4) {
    case 0: return anyPath()
    case 1: return [0x2E, 0x2E, 0x2F] + name()
    case 2: return [UInt8](repeating: 0x74, count: 50 + random.below(200))
    default: return name()
    }
  }
}
