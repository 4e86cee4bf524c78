import Ext2
import FaultLab
import Support
import SystemPackage
import Testing
import Workload

@Suite("The kernel's ext2", .enabled(if: Kernel.obstacle == nil, "\(Kernel.obstacle ?? "")"))
struct KernelTests {
  /// Files of many shapes: their offsets and sizes reach every level of the tree that fits.
  static func shapes(_ blockSize: Int) -> [(name: String, offset: Int, count: Int)] {
    let pointers = blockSize / 4
    return [
      ("empty", 0, 0), ("byte", 0, 1), ("block", 0, blockSize), ("odd", 0, 3 * blockSize + 17),
      ("indirect", 0, 40 * blockSize + 5), ("hole", 20 * blockSize + 3, 2 * blockSize),
      ("double", (12 + pointers + 3) * blockSize, 5 * blockSize),
      ("triple", (12 + pointers + pointers * pointers + 3) * blockSize, 700),
    ]
  }

  @Test("it reads what we wrote, byte for byte, and e2fsck agrees", arguments: blockSizes)
  func kernelReads(blockSize: Int) throws {
    let outcome = VolumeRig.run(try Images.empty(blockSize: blockSize)) { rig in
      for (index, shape) in Self.shapes(blockSize).enumerated() {
        let file = try await rig.volume.open(shape.name, create: true)
        if shape.count > 0 { try await file.write(stamped(UInt8(index), count: shape.count), at: UInt64(shape.offset)) }
      }
      let cut = try await rig.volume.open("cut", create: true)
      try await cut.write(stamped(99, count: 60 * blockSize), at: 0)
      try await cut.truncate(to: UInt64(13 * blockSize + 100))
      try await cut.truncate(to: UInt64(30 * blockSize))
      let gone = try await rig.volume.open("gone", create: true)
      try await gone.write(stamped(98, count: 30 * blockSize), at: 0)
      try await rig.volume.unlink("gone")
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(try Images.check(outcome.image) == nil)
    try Kernel.mounted(outcome.image) { folder in
      for (index, shape) in Self.shapes(blockSize).enumerated() where shape.name != "triple" {
        let expected =
          [UInt8](repeating: 0, count: shape.count == 0 ? 0 : shape.offset) + stamped(UInt8(index), count: shape.count)
        #expect(try TemporaryFile.read("\(folder)/\(shape.name)") == expected, "\(shape.name)")
      }
      let triple = Self.shapes(blockSize)[7]
      let tail = try Kernel.tail(of: "\(folder)/triple", from: Int64(triple.offset), count: triple.count + 1)
      #expect(tail == stamped(7, count: triple.count))
      let cut = try TemporaryFile.read("\(folder)/cut")
      #expect(
        cut == Array(stamped(99, count: 60 * blockSize).prefix(13 * blockSize + 100))
          + [UInt8](repeating: 0, count: 17 * blockSize - 100))
      #expect(try !Kernel.run("ls", [folder]).contains("gone"))
    }
  }

  @Test("we read what it wrote, byte for byte, change it, and it reads that", arguments: blockSizes)
  func kernelWrites(blockSize: Int) throws {
    let image = try Kernel.mounted(try Images.empty(blockSize: blockSize)) { folder in
      for (index, shape) in Self.shapes(blockSize).enumerated() {
        try Kernel.write(
          stamped(UInt8(index), count: shape.count), to: "\(folder)/\(shape.name)", at: Int64(shape.offset))
      }
      for number in 0..<20 { try Kernel.write([UInt8(number)], to: "\(folder)/small-\(number)") }
      try Kernel.run("rm", ["\(folder)/small-3", "\(folder)/small-7"])
    }
    #expect(try Images.check(image) == nil)
    let outcome = VolumeRig.run(image) { rig in
      for (index, shape) in Self.shapes(blockSize).enumerated() {
        let file = try await rig.volume.open(shape.name)
        #expect(try await file.status().byteCount == UInt64(shape.count == 0 ? 0 : shape.offset + shape.count))
        #expect(
          try await file.read(at: UInt64(shape.offset), count: shape.count + 9)
            == stamped(UInt8(index), count: shape.count))
        if shape.offset > 0 { #expect(try await file.read(at: UInt64(shape.offset - 3), count: 3) == [0, 0, 0]) }
      }
      let names = try await rig.volume.list()
      #expect(names.filter { $0.hasPrefix("small") }.count == 18)
      let file = try await rig.volume.open("indirect")
      try await file.truncate(to: UInt64(15 * blockSize))
      try await file.append(stamped(50, count: 10 * blockSize))
      try await rig.volume.unlink("small-5")
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(try Images.check(outcome.image) == nil)
    let last = try Kernel.mounted(outcome.image) { folder in
      let expected =
        Array(stamped(4, count: 40 * blockSize).prefix(15 * blockSize)) + stamped(50, count: 10 * blockSize)
      #expect(try TemporaryFile.read("\(folder)/indirect") == expected)
      try Kernel.run("rm", ["\(folder)/indirect", "\(folder)/small-1"])
    }
    #expect(try Images.check(last) == nil)
  }

  @Test("it reads what seeded runs of the whole volume have left, byte for byte, for every block size")
  func kernelReadsRuns() throws {
    let explorer = try Explorer(), names = ["a", "b", "c"]
    var blockSizes: Set<Int> = []
    for seed in UInt64(0)..<9 {
      let scenario = Scenario(seed: seed)
      blockSizes.insert(scenario.blockSize)
      let outcome = explorer.run(scenario)
      #expect(outcome.findings == [], "seed \(seed)")
      #expect(try Images.check(outcome.image) == nil, "seed \(seed)")
      var read: [[UInt8]] = []
      try Kernel.mounted(outcome.image) { folder in
        for name in names { read.append(try TemporaryFile.read("\(folder)/\(name)")) }
      }
      let found = read
      // The run itself has compared what we read with what was written.
      let ours = VolumeRig.run(outcome.image) { rig in
        for (name, bytes) in zip(names, found) {
          let file = try await rig.volume.open(name)
          #expect(try await file.status().byteCount == UInt64(bytes.count), "\(name) of seed \(seed)")
          #expect(try await file.read(at: 0, count: bytes.count + 1) == bytes, "\(name) of seed \(seed)")
        }
      }
      #expect(ours.failures == [])
      #expect(found.contains { !$0.isEmpty }, "seed \(seed)")
    }
    #expect(blockSizes == Set(Scenario.blockSizes))
  }
}

extension Kernel {
  static func tail(of path: String, from offset: Int64, count: Int) throws -> [UInt8] {
    let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
    return try file.closeAfter {
      var bytes = [UInt8](repeating: 0, count: count)
      let done = try unsafe bytes.withUnsafeMutableBytes { unsafe try file.read(fromAbsoluteOffset: offset, into: $0) }
      return Array(bytes.prefix(done))
    }
  }
}
