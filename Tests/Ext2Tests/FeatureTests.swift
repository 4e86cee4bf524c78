import BlockDevice
import Ext2
import Ext2Format
import Support
import SystemPackage
import Testing

/// Features that we do not have (Documentation/filesystems/ext2, "Features"; fs/ext2/super.c, ext2_setup_super).
@Suite("Unknown features", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FeatureTests {
  /// An image with a file, and with a 32-bit word of its superblock changed.
  static func image(_ offset: Int, adding bits: UInt32) throws -> [UInt8] {
    var image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      try await rig.volume.makeDirectory("d")
      try await rig.volume.open("d/a", create: true).write(stamped(1, count: 20_000), at: 0)
      try await rig.volume.setAttribute("user.x", to: [1, 2], of: "d/a")
    }
    for byte in 0..<4 { image[1024 + offset + byte] |= UInt8(truncatingIfNeeded: bits >> UInt32(8 * byte)) }
    return image
  }

  @Test(
    "that writers must know let a volume be mounted for reading, and nothing writes it; the log names them",
    arguments: [
      (100, 0x8, "huge_file"), (100, 0x10, "uninit_bg"), (100, 0x20, "dir_nlink"), (100, 0x40, "extra_isize"),
      (100, 0x100, "quota"), (100, 0x200, "bigalloc"), (100, 0x400, "metadata_csum"), (100, 0x1000, "read-only"),
      (100, 0x2000, "project"), (100, 0x8000_0000, "FEATURE_R31"), (100, 0x418, "huge_file uninit_bg metadata_csum"),
      // The kernel's ext2 mounts later revisions for reading as well.
      (76, 0x2, "revision 3"),
    ] as [(Int, UInt32, String)])
  func readOnlyCompatible(offset: Int, bits: UInt32, name: String) throws {
    let image = try Self.image(offset, adding: bits)
    let log = RecordedLog()
    let outcome = VolumeRig.run(image, options: .quiet.with { $0.logger = log.logger }) { rig in
      let volume = rig.volume
      #expect(await volume.isReadOnly)
      let names = try await volume.list("d")
      #expect(names == ["a"])
      let file = try await volume.open("d/a")
      #expect(try await file.read(at: 0, count: 30_000) == stamped(1, count: 20_000))
      #expect(try await volume.attribute("user.x", of: "d/a") == [1, 2])
      let changes: [(String, () async throws(Ext2Error) -> Void)] = [
        ("create", { () async throws(Ext2Error) in _ = try await volume.open("new", create: true) }),
        ("mkdir", { () async throws(Ext2Error) in try await volume.makeDirectory("new") }),
        ("write", { () async throws(Ext2Error) in try await file.write([1], at: 0) }),
        ("truncate", { () async throws(Ext2Error) in try await file.truncate(to: 0) }),
        ("punch", { () async throws(Ext2Error) in try await file.punch(0..<5000) }),
        ("unlink", { () async throws(Ext2Error) in try await volume.unlink("d/a") }),
        ("rename", { () async throws(Ext2Error) in try await volume.rename("d/a", to: "a") }),
        ("link", { () async throws(Ext2Error) in try await volume.link("d/a", to: "a") }),
        ("chmod", { () async throws(Ext2Error) in try await volume.change("d", StatusChanges(permissions: 0)) }),
        ("setxattr", { () async throws(Ext2Error) in try await volume.setAttribute("user.y", to: [1], of: "d/a") }),
        ("label", { () async throws(Ext2Error) in try await volume.setLabel("x") }),
        ("remount", { () async throws(Ext2Error) in try await volume.remount(isReadOnly: false) }),
      ]
      for (what, change) in changes {
        let error = await errorOf(change)
        #expect(error?.errno == .readOnlyFileSystem, "\(what): \(error.map { "\($0)" } ?? "done")")
      }
      try await volume.synchronize()
      #expect(await volume.counters.device.writes == 0)
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(outcome.image == image)
    #expect(log.messages.contains { $0.contains("read-only") && $0.contains(name) }, "\(log.messages)")
  }

  @Test(
    "without which nothing can be understood refuse the mount, and are named",
    arguments: [
      (0x1, ["compression"]), (0x4, ["needs_recovery"]), (0x8, ["journal_dev"]), (0x40, ["extent"]), (0x80, ["64bit"]),
      (0x100, ["mmp"]), (0x200, ["flex_bg"]), (0x400, ["ea_inode"]), (0x4000, ["large_dir"]),
      (0x8000, ["inline_data"]), (0x1_0000, ["encrypt"]), (0x2_0000, ["casefold"]), (0x20, ["FEATURE_I5"]),
      (0x8000_0000, ["FEATURE_I31"]), (0x2C0, ["extent", "64bit", "flex_bg"]),
    ] as [(UInt32, [String])], [true, false])
  func incompatible(example: (bits: UInt32, names: [String]), isReadOnly: Bool) throws {
    let outcome = VolumeRig.run(
      try Self.image(96, adding: example.bits), options: .quiet.with { $0.isReadOnly = isReadOnly }
    ) { _ in Issue.record("mounted") }
    let error = try #require(outcome.failures.first)
    for name in example.names { #expect(error.contains(name), "\(error)") }
    #expect(!error.contains("filetype"), "what we have is not named: \(error)")
  }

  @Test(
    "that everybody may ignore are ignored, and kept",
    arguments: [0x1, 0x2, 0x40, 0x100, 0x200, 0x8000_0000] as [UInt32])
  func compatible(bits: UInt32) throws {
    let outcome = VolumeRig.run(try Self.image(92, adding: bits)) { rig in
      #expect(await !rig.volume.isReadOnly)
      try await rig.volume.rename("d/a", to: "a")
      let file = try await rig.volume.open("a")
      #expect(try await file.read(at: 0, count: 30_000) == stamped(1, count: 20_000))
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(try Superblocks.decoded(outcome.image).compatible.rawValue & bits == bits)
  }
}
