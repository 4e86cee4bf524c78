import Ext2
import Ext2Tools
import Support
import SystemPackage
import Testing

/// 100 files that grow side by side, a page at a time each: what reservation windows are for.
@Suite("Files written round-robin", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct RoundRobinTests {
  static let fileCount = 100, pieces = 256, piece = 4096
  static let names = (0..<fileCount).map { "file-\($0)" }

  static func image(_ blockSize: Int) throws -> [UInt8] {
    try Images.make(blockSize: blockSize, byteCount: 160 << 20) { options in
      options.inodeCount = 1024
      options.reservedPercent = 0
    }
  }

  /// How many pieces all files lie in, pointer blocks not counted; their contents are right.
  static func extents(_ image: [UInt8]) throws -> Int {
    #expect(try Images.check(image) == nil)
    let total = Tally()
    let outcome = VolumeRig.run(image, options: .quiet.with { $0.isReadOnly = true }) { rig in
      for (index, name) in names.enumerated() {
        let file = try await rig.volume.open(name)
        // Around a pointer block the data goes on: that is no new piece.
        var end: UInt64?
        for extent in try await file.extents() {
          if end.map({ !($0...$0 + 3).contains(extent.diskBlock) }) ?? true { total.count += 1 }
          end = extent.diskBlock + UInt64(extent.count)
        }
        #expect(try await file.status().byteCount == UInt64(pieces * piece))
        #expect(try await file.read(at: 500_000, count: 1) == [UInt8(index)])
        await file.close()
      }
    }
    #expect(outcome.failures == [])
    return total.count
  }

  static func byUs(_ image: [UInt8], usesWindows: Bool) throws -> [UInt8] {
    let options = VolumeOptions.quiet.with { $0.usesReservationWindows = usesWindows }
    let outcome = VolumeRig.run(image, options: options, stepLimit: 20_000_000) { rig in
      var files: [File] = []
      for name in names { files.append(try await rig.volume.open(name, create: true)) }
      for _ in 0..<pieces {
        for (index, file) in files.enumerated() {
          try await file.append([UInt8](repeating: UInt8(index), count: piece))
        }
      }
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    return outcome.image
  }

  static func byTheKernel(_ image: [UInt8]) throws -> [UInt8] {
    try Kernel.mounted(image) { folder in
      var files: [FileDescriptor] = []
      defer { for file in files { try? file.close() } }
      for name in names {
        files.append(
          try FileDescriptor.open(
            FilePath("\(folder)/\(name)"), .writeOnly, options: [.create, .append, .closeOnExec],
            permissions: [.ownerReadWrite]))
      }
      for _ in 0..<pieces {
        for (index, file) in files.enumerated() {
          _ = try file.writeAll([UInt8](repeating: UInt8(index), count: piece))
        }
      }
      for file in files { try file.close() }
      files = []
    }
  }

  /// The kernel's count for the same work on the same image, where it does not mount: that of Linux 6.18.
  static let recorded = [1024: 1000, 4096: 2000]

  @Test("lie in no more pieces than the kernel makes of the same work", arguments: [1024, 4096])
  func figure(blockSize: Int) throws {
    let image = try Self.image(blockSize)
    let ours = try Self.extents(try Self.byUs(image, usesWindows: true))
    var limit = Self.recorded[blockSize] ?? 0
    if Kernel.obstacle == nil { limit = try Self.extents(try Self.byTheKernel(image)) }
    print("round robin | \(blockSize) | \(ours) pieces of \(Self.fileCount) files, the kernel's \(limit)")
    #expect(ours <= limit, "\(ours) pieces, the kernel makes \(limit)")
  }

  @Test("without windows (noreservation) each piece lies alone, and all are right", arguments: [true, false])
  func withoutWindows(usesWindows: Bool) throws {
    let options = VolumeOptions.quiet.with { $0.usesReservationWindows = usesWindows }
    try script(try Images.empty(blockSize: 1024, blockCount: 4096), options, seeds: 0..<1) { rig in
      var files: [File] = []
      for index in 0..<8 { files.append(try await rig.volume.open("\(index)", create: true)) }
      for round in 0..<64 {
        for file in files { try await file.append(stamped(UInt8(round), count: 4096)) }
      }
      for file in files {
        let count = try await file.extents().count
        #expect(usesWindows ? count < 12 : count >= 64, "\(count) pieces")
        #expect(try await file.read(at: 40 * 4096, count: 4096) == stamped(40, count: 4096))
      }
    }
  }
}
