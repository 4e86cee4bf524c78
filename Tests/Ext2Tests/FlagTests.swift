import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import Reactor
import Support
import SystemPackage
import Testing

@Suite("Flags, owners and reserved blocks", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FlagTests {
  private func expect(_ errno: Errno, _ body: () async throws(Ext2Error) -> Void) async {
    let error = await errorOf(body)
    #expect(error?.errno == errno, "\(error.map { "\($0)" } ?? "no error")")
  }

  @Test("an immutable file does not change, has no further name and keeps those it has")
  func immutable() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<2) { rig in
      let volume = rig.volume
      let file = try await volume.open("a", create: true)
      try await file.write([1, 2, 3], at: 0)
      try await file.change(StatusChanges(flags: .immutable))
      await expect(.notPermitted) { () async throws(Ext2Error) in try await file.write([4], at: 0) }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await file.append([4]) }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await file.truncate(to: 0) }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await file.punch(0..<2) }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await file.fallocate([], 0..<5000) }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await volume.unlink("a") }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await volume.rename("a", to: "b") }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await volume.link("a", to: "b") }
      await expect(.notPermitted) { () async throws(Ext2Error) in
        try await volume.change("a", StatusChanges(permissions: 0o600))
      }
      #expect(try await file.read(at: 0, count: 9) == [1, 2, 3])
      try await volume.makeDirectory("d")
      try await volume.makeNode("d/x", .fifo)
      try await volume.change("d", StatusChanges(flags: .immutable))
      await expect(.notPermitted) { () async throws(Ext2Error) in try await volume.makeNode("d/y", .fifo) }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await volume.unlink("d/x") }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await volume.rename("d/x", to: "x") }
      for path in ["a", "d"] { try await volume.change(path, StatusChanges(flags: [])) }
      try await volume.unlink("d/x")
      try await file.truncate(to: 0)
    }
  }

  @Test("a time that no inode can hold becomes the nearest one that it can, at once", arguments: [128, 256])
  func times(inodeSize: Int) throws {
    let image = try Images.empty(blockSize: 1024) { $0.inodeSize = inodeSize }
    let last = Int64(Int32.max) + (inodeSize == 128 ? 0 : 3 << 32)
    try script(image, seeds: 0..<1) { rig in
      let file = try await rig.volume.open("a", create: true)
      try await file.change(
        StatusChanges(
          accessTime: CalendarTime(seconds: .min, nanoseconds: 0),
          modificationTime: CalendarTime(seconds: .max, nanoseconds: 0)))
      let status = try await file.status()
      #expect(status.accessTime.seconds == Int64(Int32.min))
      #expect(status.modificationTime.seconds == last)
    }
  }

  @Test("an append-only file grows and does nothing else; an append-only directory loses no name")
  func appendOnly() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<2) { rig in
      let volume = rig.volume
      let file = try await volume.open("a", create: true)
      try await file.append([1, 2])
      try await file.change(StatusChanges(flags: .appendOnly))
      try await file.append([3])
      await expect(.notPermitted) { () async throws(Ext2Error) in try await file.write([4], at: 0) }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await file.truncate(to: 1) }
      await expect(.notPermitted) { () async throws(Ext2Error) in try await volume.unlink("a") }
      #expect(try await file.read(at: 0, count: 9) == [1, 2, 3])
      try await volume.makeDirectory("d")
      try await volume.change("d", StatusChanges(flags: .appendOnly))
      try await volume.makeNode("d/x", .fifo)
      await expect(.notPermitted) { () async throws(Ext2Error) in try await volume.unlink("d/x") }
    }
  }

  @Test("new files take over the flags that the kernel lets them take over, as far as their type has them")
  func inherited() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<1) { rig in
      let volume = rig.volume
      try await volume.makeDirectory("d")
      try await volume.change(
        "d", StatusChanges(flags: [.noDump, .noAccessTime, .synchronous, .directorySynchronous, .topDirectory]))
      try await volume.makeDirectory("d/d")
      try await volume.makeNode("d/f", .regular)
      try await volume.makeNode("d/p", .fifo)
      #expect(
        try await volume.status(of: "d/d").flags == [.noDump, .noAccessTime, .synchronous, .directorySynchronous])
      #expect(try await volume.status(of: "d/f").flags == [.noDump, .noAccessTime, .synchronous])
      #expect(try await volume.status(of: "d/p").flags == [.noDump, .noAccessTime])
    }
  }

  @Test("with the sync flag a write is durable when it returns; with dirsync a name is", arguments: [true, false])
  func synchronous(isMountOption: Bool) throws {
    let options = VolumeOptions.quiet.with {
      $0.isSynchronous = isMountOption
      $0.isDirectorySynchronous = isMountOption
    }
    try script(try Images.empty(blockSize: 1024), options, seeds: 0..<4) { rig in
      let volume = rig.volume
      try await volume.makeDirectory("d")
      if !isMountOption { try await volume.change("d", StatusChanges(flags: [.synchronous, .directorySynchronous])) }
      // The directory itself is for its own directory to make durable.
      try await volume.synchronize()
      let file = try await volume.open("d/a", create: true)
      try await file.write(stamped(1, count: 3000), at: 0)
      #expect(try Images.dump("d/a", of: await rig.disk { $0.durableImage }) == stamped(1, count: 3000))
      try await volume.rename("d/a", to: "d/b")
      try await volume.makeSymbolicLink("d/l", to: "b")
      let left = await rig.disk { $0.durableImage }
      #expect(try Images.dump("d/b", of: left) == stamped(1, count: 3000))
      #expect(try Images.output(of: "debugfs", ["-R", "stat d/l"], on: left).contains("Fast link dest: \"b\""))
      try await volume.unlink("d/b")
      let listing = try Images.output(of: "debugfs", ["-R", "ls -p d"], on: await rig.disk { $0.durableImage })
      #expect(!listing.contains("/b/"))
    }
  }

  @Test("a file belongs to who makes it, or to its directory's group where that is asked for")
  func owners() throws {
    for takesGroup in [false, true] {
      let options = VolumeOptions.quiet.with { $0.takesGroupOfDirectory = takesGroup }
      try script(try Images.empty(blockSize: 1024), options, seeds: 0..<1) { rig in
        let volume = rig.volume, who = Credentials(user: 100_000, group: 200_000)
        try await volume.makeDirectory("d")
        try await volume.change("d", StatusChanges(group: 7))
        try await volume.makeNode("d/a", .regular, as: who)
        let plain = try await volume.status(of: "d/a")
        #expect(plain.user == 100_000 && plain.group == (takesGroup ? 7 : 200_000))
        try await volume.change("d", StatusChanges(permissions: 0o2755))
        try await volume.makeDirectory("d/sub", as: who)
        let status = try await volume.status(of: "d/sub")
        #expect(status.group == 7 && status.permissions == 0o2755)
      }
    }
  }

  @Test("reserved blocks are for the superuser and for whom the volume or the mount names")
  func reserved() throws {
    let image = try Images.make(blockSize: 1024, byteCount: 1 << 20, options: ["-N", "64", "-m", "20"])
    let options = VolumeOptions.quiet.with { $0.reservedUser = 77 }
    try script(image, options, seeds: 0..<2) { rig in
      let volume = rig.volume
      func fill(_ name: String, _ who: Credentials) async throws -> Ext2Error? {
        let file = try await volume.open(name, .create, as: who)
        var error: Ext2Error?
        while error == nil {
          error = await errorOf { () async throws(Ext2Error) in try await file.append(stamped(1, count: 1024)) }
        }
        await file.close()
        return error
      }
      let user = try await fill("user", Credentials(user: 5, group: 5))
      #expect(user?.errno == .noSpace)
      let left = await volume.statistics
      #expect(left.freeBlockCount > 190 && left.availableBlockCount == 0)
      let mine = Credentials(user: 5, group: 5)
      let made = await errorOf { () async throws(Ext2Error) in try await volume.makeDirectory("d", as: mine) }
      #expect(made?.errno == .noSpace)
      #expect(await volume.statistics == left, "nothing half made")
      let named = try await fill("reserved", Credentials(user: 77, group: 5))
      #expect(named?.errno == .noSpace)
      #expect(await volume.statistics.freeBlockCount == 0)
    }
  }

  @Test("chown takes the set-id bits of a file away, and chmod gives them back")
  func setIDBits() throws {
    try script(try Images.empty(blockSize: 1024), seeds: 0..<1) { rig in
      let volume = rig.volume
      try await volume.makeNode("a", .regular, permissions: 0o6755)
      try await volume.change("a", StatusChanges(user: 3))
      #expect(try await volume.status(of: "a").permissions == 0o755)
      try await volume.change("a", StatusChanges(permissions: 0o4711, user: 4))
      #expect(try await volume.status(of: "a").permissions == 0o4711)
      // Without execution by the group the bit means something else (mandatory locks), and stays.
      try await volume.change("a", StatusChanges(permissions: 0o2644))
      try await volume.change("a", StatusChanges(group: 4))
      #expect(try await volume.status(of: "a").permissions == 0o2644)
    }
  }
}
