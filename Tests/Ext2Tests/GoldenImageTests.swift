import BlockDevice
import Ext2
import Ext2Tools
import Glibc
import Reactor
import Support
import Testing

/// The images of images/: small volumes that others have made, or ours, kept as they were.
///
/// RECORD_MANIFESTS=1 records anew what the kernel reads in them.
@Suite("A golden image", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct GoldenImageTests {
  static func listing(_ image: [UInt8]) throws -> TreeListing {
    let reactor = SimulatedReactor(seed: 1)
    return try reactor.run {
      let device = SimulatedDevice(reactor: reactor, image: image, keepsDurable: false)
      let volume = try await Volume.mount(device, on: reactor, options: .quiet.with { $0.isReadOnly = true })
      do {
        let listing = try await TreeListing.volume(volume)
        try await volume.unmount()
        return listing
      } catch {
        try? await volume.unmount()
        throw error
      }
    }
  }

  /// The kernel mounts blocks up to the size of its pages, and larger ones only of late.
  static func kernelListing(_ image: [UInt8]) throws -> TreeListing? {
    var listing: TreeListing?
    do {
      try Kernel.mounted(image, options: "loop,ro,noatime") { listing = try TreeListing.host($0) }
    } catch  where listing == nil {
      if Kernel.obstacle == nil && image[1024 + 24] <= 2 { throw error }
    }
    return listing
  }

  @Test("holds what was recorded of it", arguments: GoldenImage.clean)
  func contents(golden: GoldenImage) throws {
    let image = try golden.bytes(), ours = try Self.listing(image)
    if unsafe getenv("RECORD_MANIFESTS") != nil { try golden.record(try Self.kernelListing(image) ?? ours) }
    let manifest = try golden.manifest()
    #expect(manifest.lines.count > 2)
    #expect(ours.difference(from: manifest) == [])
  }

  @Test(
    "holds to the kernel what was recorded of it", .enabled(if: Kernel.obstacle == nil, "\(Kernel.obstacle ?? "")"),
    arguments: GoldenImage.clean)
  func contentsForKernel(golden: GoldenImage) throws {
    guard let kernel = try Self.kernelListing(try golden.bytes()) else { return }
    #expect(kernel.difference(from: try golden.manifest()) == [])
  }

  @Test("is clean to us and to e2fsck", arguments: GoldenImage.clean)
  func clean(golden: GoldenImage) throws {
    let image = try golden.bytes()
    #expect(try Images.check(image) == nil)
    let report = try VolumeChecker().check(MemoryBytes(image))
    #expect(report.isClean, "\(report.findings)")
  }

  @Test("takes small changes, or has no room, and is clean and otherwise the same", arguments: GoldenImage.clean)
  func changed(golden: GoldenImage) throws {
    let image = try golden.bytes()
    let before = try golden.manifest()
    let outcome = VolumeRig.run(image) { rig in
      let volume = rig.volume
      do {
        try await volume.makeDirectory("changed")
        let file = try await volume.open("changed/file", create: true)
        try await file.write(stamped(1, count: 9000), at: 3000)
        try await file.truncate(to: 7000)
        await file.close()
        try await volume.rename("changed/file", to: "changed/new name")
        try await volume.makeSymbolicLink("changed/link", to: "new name")
        try await volume.unlink("changed/link")
      } catch Ext2Error.noSpace {}
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(try Images.check(outcome.image) == nil)
    // The root has another entry and other times.
    let after = try Self.listing(outcome.image).lines.filter { !$0.hasSuffix(" .") && !$0.contains(" changed") }
    let others = TreeListing(lines: before.lines.filter { !$0.hasSuffix(" .") })
    #expect(TreeListing(lines: after).difference(from: others) == [])
  }

  @Test("with an attribute whose name makes no sense gives its block back with the file")
  func senselessAttribute() throws {
    var image = try #require(GoldenImage.clean.first { $0.name == "mke2fs-1k" }).bytes()
    // The name of the default ACL of /folder, in block 61, is 72 zeroes longer: e2fsck does not mind.
    #expect(image[62496] == 0 && image[62497] == 3)
    image[62496] = 72
    let outcome = VolumeRig.run(image) { rig in
      for entry in try await rig.volume.entries(of: "folder") where entry.text != "." && entry.text != ".." {
        try await rig.volume.unlink("folder/\(entry.text)")
      }
      try await rig.volume.removeDirectory("folder")
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    #expect(try Images.check(outcome.image) == nil)
  }

  // MARK: Damaged ones

  /// What e2fsck, which is to answer no to all questions, finds nothing wrong with: a volume that is larger than its
  /// device, and a journal to be replayed.
  static let overlooked: Set<String> = ["cut-off", "needs-recovery"]

  @Test("that is damaged is not clean, to us and to e2fsck", arguments: GoldenImage.damaged)
  func notClean(golden: GoldenImage) throws {
    let image = try golden.bytes()
    #expect(try (Images.check(image) == nil) == Self.overlooked.contains(golden.name))
    let report = try? VolumeChecker().check(MemoryBytes(image))
    #expect(report?.isClean != true)
  }

  @Test("that is damaged is mended to e2fsck's liking, or not touched", arguments: GoldenImage.damaged)
  func mended(golden: GoldenImage) throws {
    let image = try golden.bytes()
    let bytes = MemoryBytes(image)
    guard let outcome = try? VolumeChecker().repair(bytes, time: 1_767_225_600), outcome.refusal.isEmpty else {
      #expect(bytes.bytes == image)
      return
    }
    #expect(try Images.check(bytes.bytes) == nil)
  }

  @Test("that is damaged is refused, or walked and changed to an end", arguments: GoldenImage.damaged)
  func walked(golden: GoldenImage) throws {
    let image = try golden.bytes()
    for seed in UInt64(1)...3 {
      let outcome = MutationTests.run(image, seed: seed)
      #expect(outcome.failure == nil, "seed \(seed)")
      #expect(outcome.isMounted || outcome.writes == 0, "seed \(seed): refused, but written")
      if golden.name == "needs-recovery" { #expect(!outcome.isMounted) }
    }
    _ = try? Self.listing(image)
  }
}
