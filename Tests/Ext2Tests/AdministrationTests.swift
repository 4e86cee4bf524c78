import BlockDevice
import Ext2
import Ext2Format
import Support
import SystemPackage
import Testing

@Suite("A mounted volume's administration", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct AdministrationTests {
  @Test("remounted for reading a volume is clean on the disk, and nothing changes it until it is remounted for writing")
  func remount() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<6) { rig in
      let volume = rig.volume
      let file = try await volume.open("a", create: true)
      try await file.write(stamped(1, count: 5000), at: 0)
      try await volume.remount(isReadOnly: true)
      #expect(await volume.isReadOnly)
      #expect(try Images.check(await rig.disk { $0.durableImage }) == nil)
      #expect(try Images.output(of: "dumpe2fs", ["-h"], on: await rig.disk { $0.durableImage }).contains("clean"))
      let error = await errorOf { () async throws(Ext2Error) in try await file.write([1], at: 0) }
      #expect(error?.errno == .readOnlyFileSystem)
      #expect(try await file.read(at: 0, count: 9000) == stamped(1, count: 5000))
      try await volume.remount(isReadOnly: false)
      #expect(
        try Images.output(of: "dumpe2fs", ["-h"], on: await rig.disk { $0.durableImage }).contains("not clean"))
      try await file.append([7])
      try await volume.unlink("a")
      let busy = await errorOf { () async throws(Ext2Error) in try await volume.remount(isReadOnly: true) }
      #expect(busy?.errno == .resourceBusy, "a removed file is open")
      await file.close()
    }
  }

  @Test("a frozen volume is clean on the disk; thawed it is not; a removed open file keeps it not clean")
  func freeze() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<4) { rig in
      func state() async throws -> Bool {
        try Images.output(of: "dumpe2fs", ["-h"], on: await rig.disk { $0.durableImage }).contains("not clean")
      }
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 5000), at: 0)
      try await rig.volume.freeze()
      #expect(try await !state())
      #expect(try Images.check(await rig.disk { $0.durableImage }) == nil)
      try await rig.volume.thaw()
      #expect(try await state())
      try await rig.volume.unlink("a")
      try await rig.volume.freeze()
      #expect(try await state())
      try await rig.volume.thaw()
      await file.close()
      let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.thaw() }
      #expect(error?.errno == .invalidArgument)
    }
  }

  @Test("label and UUID change in the superblock and in all its copies")
  func names() throws {
    let image = try Images.make(
      blockSize: 1024, byteCount: 40 << 20, options: ["-N", "64", "-m", "0", "-O", "sparse_super"])
    try script(image, seeds: 0..<1) { rig in
      try await rig.volume.setLabel("an experiment")
      try await rig.volume.setUUID(Array(0..<16))
      let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.setLabel("more than sixteen bytes")
      }
      #expect(error?.errno == .invalidArgument)
      let left = await rig.disk { $0.durableImage }
      for arguments in [["-h"], ["-h", "-o", "superblock=8193"], ["-h", "-o", "superblock=24577"]] {
        let header = try Images.output(of: "dumpe2fs", arguments, on: left)
        #expect(
          header.contains("an experiment") && header.contains("00010203-0405-0607-0809-0a0b0c0d0e0f"), "\(arguments)")
      }
      #expect(await rig.volume.statistics.label == "an experiment")
    }
  }

  @Test("a copy of the superblock that cannot be read leaves label and UUID as they were, everywhere")
  func unreadableCopy() throws {
    let image = try Images.make(
      blockSize: 1024, byteCount: 40 << 20, options: ["-N", "64", "-m", "0", "-O", "sparse_super"])
    try script(image, seeds: 0..<1) { rig in
      let before = await rig.volume.statistics.uuid
      await rig.fail { $0.operation == .read && $0.offset == 24577 * 1024 }
      let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.setUUID(Array(0..<16)) }
      #expect(error?.errno == .ioError)
      #expect(await rig.volume.statistics.uuid == before)
      await rig.serve()
    }
  }

  @Test("trim tells the device of every free block and of none that is used", arguments: [FreesName.plain, .ordered])
  func trim(frees: FreesName) throws {
    let options = VolumeOptions.quiet.with { $0.frees = frees }
    try script(try Images.empty(blockSize: 1024), options, seeds: 0..<6) { rig in
      let volume = rig.volume
      let file = try await volume.open("a", create: true)
      try await file.write(stamped(1, count: 30_000), at: 0)
      let before = await volume.statistics
      async let trimmed = volume.trim()
      // Somebody writes meanwhile.
      try await file.append(stamped(2, count: 40_000))
      let count = try await trimmed
      #expect(count <= before.freeBlockCount * 1024)
      #expect(count >= (before.freeBlockCount - 45) * 1024)
      try await rig.until("the blocks are free again") {
        await volume.statistics.freeBlockCount >= before.freeBlockCount - 45
      }
      #expect(await rig.volume.counters.device.discards > 0)
      #expect(try await file.read(at: 0, count: 80_000) == stamped(1, count: 30_000) + stamped(2, count: 40_000))
      // Runs shorter than asked for are left out: here all are.
      #expect(try await volume.trim(minimumByteCount: 1 << 30) == 0)
      #expect(try await volume.trim(minimumByteCount: .max) == 0)
    }
  }

  @Test("a volume whose primary superblock is gone is mounted from a copy", arguments: blockSizes)
  func copies(blockSize: Int) throws {
    let perGroup = blockSize == 1024 ? 8192 : 1024
    var image = try Images.make(
      blockSize: blockSize, byteCount: 4 * perGroup * blockSize,
      options: ["-N", "256", "-m", "0", "-g", "\(perGroup)"])
    image = try Images.prepared(image) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.write(stamped(1, count: 30_000), at: 0)
    }
    image.replaceSubrange(1024..<2048, with: [UInt8](repeating: 0xFF, count: 1024))
    // The descriptors beside it, too.
    let start = blockSize == 1024 ? 2048 : blockSize
    image.replaceSubrange(start..<start + 128, with: [UInt8](repeating: 0xFF, count: 128))
    let copy = UInt64((perGroup + (blockSize == 1024 ? 1 : 0)) * blockSize / 1024)
    for location in [1, 2, copy + 1] {
      let options = VolumeOptions.quiet.with { $0.superblockLocation = location }
      #expect(VolumeRig.run(image, options: options) { _ in }.failures != [], "sb=\(location)")
    }
    for isReadOnly in [true, false] {
      let options = VolumeOptions.quiet.with {
        $0.superblockLocation = copy
        $0.isReadOnly = isReadOnly
      }
      let outcome = VolumeRig.run(image, options: options) { rig in
        let file = try await rig.volume.open("a")
        #expect(try await file.read(at: 0, count: 40_000) == stamped(1, count: 30_000))
        if !isReadOnly { try await (try await rig.volume.open("b", create: true)).write([1], at: 0) }
      }
      #expect(outcome.failures == [] && outcome.unmountError == nil)
    }
  }

  @Test("what happens on corruption is what the mount says", arguments: ErrorPolicy.allCases)
  func errors(policy: ErrorPolicy) throws {
    var image = try Images.prepared(try Images.empty(blockSize: 1024)) { rig in
      try await rig.volume.makeDirectory("d")
      try await rig.volume.makeNode("d/x", .fifo)
    }
    image = try Images.edited(image, ["sif d block[0] 0"])
    let options = VolumeOptions.quiet.with { $0.onErrors = policy }
    let outcome = VolumeRig.run(image, options: options) { rig in
      let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.list("d") }
      #expect(error?.errno == Errno(rawValue: 117))
      let later = await errorOf { () async throws(Ext2Error) in try await rig.volume.makeNode("new", .fifo) }
      let reading = await errorOf { () async throws(Ext2Error) in try await rig.volume.list() }
      switch policy {
      case .continue: #expect(later == nil && reading == nil)
      case .remountReadOnly: #expect(later?.errno == .readOnlyFileSystem && reading == nil)
      case .abort: #expect(later != nil && reading?.errno == Errno(rawValue: 117))
      }
    }
    #expect(outcome.failures == [])
    if policy == .continue {
      #expect(try Images.output(of: "dumpe2fs", ["-h"], on: outcome.image).contains("with errors"))
    }
  }

  @Test(
    "statfs counts as the kernel does", .enabled(if: Kernel.obstacle == nil, "\(Kernel.obstacle ?? "")"),
    arguments: blockSizes)
  func statistics(blockSize: Int) throws {
    // Blocks reserved for descriptors to come are overhead to the kernel's ext4 driver and not to its ext2.
    let image = try Images.make(
      blockSize: blockSize, byteCount: 20 << 20, options: ["-N", "1024", "-m", "7", "-O", "^resize_inode"])
    for countsOverhead in [false, true] {
      var line = ""
      try Kernel.mounted(image, options: countsOverhead ? "loop,ro,minixdf" : "loop,ro") { folder in
        line = try Kernel.run("stat", ["-f", "-c", "%S %b %f %a %c %d", folder])
      }
      let options = VolumeOptions.quiet.with { $0.countsOverhead = countsOverhead }
      let expected = line
      let outcome = VolumeRig.run(image, options: options) { rig in
        let found = await rig.volume.statistics
        #expect(
          "\(found.blockSize) \(found.blockCount) \(found.freeBlockCount) \(found.availableBlockCount) \(found.inodeCount) \(found.freeInodeCount)\n"
            == expected)
      }
      #expect(outcome.failures == [])
    }
  }

  @Test("a volume of revision 0 becomes one of revision 1 when it needs a feature, and e2fsck is content")
  func revisions() throws {
    let image = try Images.make(blockSize: 4096, byteCount: 8 << 20, options: ["-N", "64", "-m", "0", "-r", "0"])
    try script(image, seeds: 0..<2) { rig in
      let file = try await rig.volume.open("large", create: true)
      try await file.write([1, 2, 3], at: 3 << 30)
      try await rig.volume.setAttribute("user.comment", to: [1], of: "large")
    }
  }

  @Test("a volume with a journal that needs no recovery is mounted, and keeps its journal")
  func journal() throws {
    let image = try Images.make(
      blockSize: 1024, byteCount: 16 << 20, options: ["-N", "64", "-m", "0", "-O", "has_journal"])
    try script(image, seeds: 0..<2) { rig in
      try await (try await rig.volume.open("a", create: true)).write(stamped(1, count: 5000), at: 0)
    }
    let wanting = try Images.edited(image, ["feature needs_recovery"])
    let outcome = VolumeRig.run(wanting) { _ in }
    #expect(outcome.failures.first?.contains("needs_recovery") == true, "\(outcome.failures)")
  }
}
