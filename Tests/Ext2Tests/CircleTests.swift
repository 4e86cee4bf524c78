import Ext2
import Support
import Testing

@Suite(
  "A file whose pointer blocks point to themselves", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct CircleTests {
  /// A file of many GiB whose triple-indirect block is its own child, grandchild and data, everywhere: 2^24 blocks, or
  /// 2^30 with blocks of 4 KiB, on a volume of 512 or 1,024.
  static func image(blockSize: Int) throws -> [UInt8] {
    let pointers = blockSize / 4
    let start = UInt64(12 + pointers + pointers * pointers) * UInt64(blockSize)
    var image = try Images.prepared(try Images.empty(blockSize: blockSize)) { rig in
      let file = try await rig.volume.open("f", create: true)
      try await file.write([1], at: start)
    }
    let output = try Images.output(of: "debugfs", ["-R", "stat f"], on: image)
    let block = try #require(
      output.firstMatch(of: #/\(TIND\):(\d+)/#).flatMap { Int($0.output.1) }, "no triple-indirect block in \(output)")
    for pointer in 0..<pointers {
      for byte in 0..<4 {
        image[block * blockSize + 4 * pointer + byte] = UInt8(truncatingIfNeeded: block >> (8 * byte))
      }
    }
    let size = UInt64(pointers * pointers * pointers) * UInt64(blockSize) / 4
    return try Images.edited(image, ["sif f size \(min(size, 1 << 40))"])
  }

  @Test("has an end: nothing takes more steps than the volume has blocks, or more memory", arguments: [1024, 4096])
  func bounded(blockSize: Int) throws {
    let image = try Self.image(blockSize: blockSize)
    let outcome = VolumeRig.run(image, options: .quiet.with { $0.onErrors = .continue }, stepLimit: 200_000) { rig in
      let file = try await rig.volume.open("f")
      await #expect(throws: Ext2Error.self) { _ = try await file.extents() }
      let pointers = UInt64(blockSize / 4), first = (12 + pointers + pointers * pointers) * UInt64(blockSize)
      #expect(try await file.seek(.data, from: 0) == first)
      await #expect(throws: Ext2Error.self) { _ = try await file.seek(.hole, from: first) }
      _ = try? await file.read(at: first, count: 100_000)
      try? await file.truncate(to: 1)
      try? await rig.volume.unlink("f")
      await file.close()
    }
    #expect(outcome.failures == [])
  }
}
