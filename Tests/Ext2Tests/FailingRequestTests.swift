import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import PageCache
import Support
import SystemPackage
import Testing
import Workload

/// Every operation on names and files, with each request of the device failing in turn.
@Suite("Whichever request fails", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FailingRequestTests {
  /// One operation, and a name for messages.
  struct Operation: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let run: @Sendable (Volume) async throws -> Void
    init(_ name: String, _ run: @escaping @Sendable (Volume) async throws -> Void) {
      (testDescription, self.run) = (name, run)
    }
  }

  static let long = String(repeating: "n", count: 240)

  static let operations: [Operation] = [
    Operation("create") { await (try $0.open("d/new", create: true)).close() },
    Operation("create in a full block") { await (try $0.open("full/\(long)", create: true)).close() },
    Operation("mkdir") { try await $0.makeDirectory("d/new") },
    Operation("symlink") { try await $0.makeSymbolicLink("d/new", to: String(repeating: "t", count: 300)) },
    Operation("short symlink") { try await $0.makeSymbolicLink("d/new", to: "a") },
    Operation("mknod") { try await $0.makeNode("d/new", .characterDevice, device: DeviceNumber(major: 4, minor: 64)) },
    Operation("link") { try await $0.link("d/a", to: "e/new") },
    Operation("unlink") { try await $0.unlink("d/a") },
    Operation("rmdir") { try await $0.removeDirectory("d/empty") },
    Operation("rename inside a directory") { try await $0.rename("d/a", to: "d/new") },
    Operation("rename of a directory to another") { try await $0.rename("d/sub", to: "e/sub") },
    Operation("rename over a file") { try await $0.rename("d/a", to: "e/b") },
    Operation("rename over a directory") { try await $0.rename("d/sub", to: "e/empty") },
    Operation("rename into a full block") { try await $0.rename("d/sub", to: "full/\(long)") },
    Operation("set an attribute") { try await $0.setAttribute("user.x", to: stamped(3, count: 300), of: "e/b") },
    Operation("chmod with an ACL") { try await $0.change("d/a", StatusChanges(permissions: 0o600)) },
    Operation("inherit an ACL") { try await $0.makeDirectory("acl/new") },
  ]

  static func image() throws -> [UInt8] {
    try Images.prepared(try Images.empty(blockSize: 1024, blockCount: 2048) { $0.inodeSize = 128 }) { rig in
      let volume = rig.volume
      for path in ["d", "e", "full", "acl", "d/sub", "d/empty", "e/empty"] { try await volume.makeDirectory(path) }
      for path in ["d/a", "e/b", "d/sub/c"] {
        let file = try await volume.open(path, create: true)
        try await file.append(stamped(1, count: 300_000))
        await file.close()
      }
      for index in 0..<3 { await (try volume.open("full/\(index)\(long)", create: true)).close() }
      let text = "u::rwx,u:1:r-x,g::r-x,m::rwx,o::---"
      let list = try AccessControlList(text: text)
      try await volume.setAccessControlList(list, of: "d/a")
      try await volume.setAccessControlList(list, of: "acl", isDefault: true)
    }
  }

  /// All names with what is known of them, times aside.
  static func tree(_ volume: Volume, _ path: String = "/") async throws -> [String] {
    var lines: [String] = []
    for entry in try await volume.entries(of: path) {
      let inner = path + entry.text
      if entry.text == "." { continue }
      let status = try await volume.status(of: inner, followsLink: false)
      // A directory may have got a block that it does not need.
      let size = status.type == .directory ? 0 : status.byteCount
      lines.append("\(inner) \(status.type) \(status.permissions) \(status.linkCount) \(size)")
      for name in try await volume.attributeNames(of: inner, followsLink: false) {
        lines.append("\(inner) \(name) \(try await volume.attribute(name, of: inner, followsLink: false))")
      }
      if entry.type == .directory && entry.text != ".." { lines += try await tree(volume, inner + "/") }
    }
    return lines
  }

  /// The names before an operation, and after it.
  static func trees(_ operation: Operation, _ image: [UInt8]) throws -> [[String]] {
    let whole = Tally()
    try script(image, seeds: 0..<1) { rig in
      whole.notes = try await Self.tree(rig.volume)
      try await operation.run(rig.volume)
      whole.notes += ["after"] + (try await Self.tree(rig.volume))
    }
    return whole.notes.split(separator: "after").map(Array.init)
  }

  @Test("an operation is done whole or not at all", arguments: operations)
  func sweep(operation: Operation) throws {
    let image = try Self.image()
    let failures = Tally()
    let parts = try Self.trees(operation, image)
    for failing in 0..<40 {
      let count = Tally()
      try script(image, .quiet.with { $0.metadataSlotCount = 56 }, seeds: UInt64(failing)..<UInt64(failing) + 1) {
        rig in
        await rig.treat { request in
          guard request.operation == .read else { return .proceed }
          count.count += 1
          return count.count - 1 == failing ? .fail(.ioError) : .proceed
        }
        let free = await rig.volume.statistics
        var hasFailed = false
        do { try await operation.run(rig.volume) } catch { hasFailed = true }
        await rig.serve()
        await rig.settle()
        try await rig.volume.synchronize()
        let found = try await Self.tree(rig.volume)
        #expect(found == parts[hasFailed ? 0 : 1], "request \(failing)")
        if hasFailed {
          failures.count += 1
          #expect(await rig.volume.statistics == free, "request \(failing)")
          // What was given back can be taken again, by the same or by others.
          try await operation.run(rig.volume)
          let done = try await Self.tree(rig.volume)
          #expect(done == parts[1], "request \(failing)")
          let state = try await rig.volume.superblock().0.state
          #expect(!state.contains(.error), "request \(failing)")
        }
      }
      if count.count <= failing { break }
    }
    #expect(failures.count > 1)
  }

  @Test("an operation whose task is cancelled while it waits is done whole or not at all", arguments: operations)
  func cancellation(operation: Operation) throws {
    let image = try Self.image()
    let parts = try Self.trees(operation, image)
    let cancelled = Tally()
    for held in 0..<40 {
      let count = Tally()
      try script(image, .quiet.with { $0.metadataSlotCount = 56 }, seeds: UInt64(held)..<UInt64(held) + 1) { rig in
        await rig.treat { request in
          guard request.operation == .read else { return .proceed }
          count.count += 1
          return count.count - 1 == held ? .hold : .proceed
        }
        let task = Task(executorPreference: rig.reactor) {
          do { try await operation.run(rig.volume) } catch Ext2Error.cancelled { return false }
          return true
        }
        await rig.settle()
        cancelled.count += await rig.heldCount
        task.cancel()
        await rig.serve()
        let isDone = try await task.value
        try await rig.volume.synchronize()
        let found = try await Self.tree(rig.volume)
        #expect(found == parts[isDone ? 1 : 0], "request \(held)")
      }
      if count.count <= held { break }
    }
    #expect(cancelled.count > 1)
  }

  @Test(
    "when a read, write or flush of an operation or of the sync after it fails, the operation is done whole or not at all, on the disk too",
    arguments: operations, [false, true])
  func anyRequest(operation: Operation, isSynchronous: Bool) throws {
    let image = try Self.image()
    let parts = try Self.trees(operation, image)
    let options = VolumeOptions.quiet.with {
      $0.metadataSlotCount = 56
      $0.isDirectorySynchronous = isSynchronous
    }
    var failing = 0
    while true {
      let count = Tally(), left = Tally(), index = failing
      let outcome = VolumeRig.run(image, seed: UInt64(failing), options: options) { rig in
        await rig.treat { _ in
          count.count += 1
          return count.count - 1 == index ? .fail(.ioError) : .proceed
        }
        var hasFailed = false
        do { try await operation.run(rig.volume) } catch { hasFailed = true }
        try? await rig.volume.synchronize()
        await rig.serve()
        await rig.settle()
        try await rig.volume.synchronize()
        left.notes = try await Self.tree(rig.volume)
        let isDone = left.notes == parts[1]
        #expect(isDone || hasFailed && left.notes == parts[0], "request \(index)")
        // One that fails is done only where it was the sync at its end that failed.
        #expect(!hasFailed || !isDone || isSynchronous, "request \(index)")
      }
      #expect(outcome.failures == [], "request \(index)")
      var image = outcome.image
      if try Images.check(image) != nil {
        // What a removed file had and could not be read when it was to be freed is lost until a check, and the volume says so.
        let state = try Superblocks.decoded(image).state
        #expect(outcome.unmountError != nil || state.contains(.error), "request \(index)")
        image = try Self.mended(image)
      } else {
        #expect(outcome.unmountError == nil, "request \(index)")
      }
      let again = Tally()
      let second = VolumeRig.run(image) { again.notes = try await Self.tree($0.volume) }
      #expect(second.failures == [] && again.notes == left.notes, "request \(index)")
      if count.count <= failing { break }
      failing += 1
    }
    #expect(failing > 4)
  }

  /// The image after e2fsck has mended what needs no decision; it ends with 1 then.
  private static func mended(_ image: [UInt8]) throws -> [UInt8] {
    try TemporaryFile.with(contents: image) { path in
      let outcome = try #require(ExternalTool("e2fsck")?.run(["-fp", path]))
      #expect(outcome.exitCode == 1, "\(outcome.output)")
      return try TemporaryFile.read(path)
    }
  }

  @Test("with so many blocks or inodes left an operation is done whole or not at all", arguments: operations)
  func noSpace(operation: Operation) throws {
    let image = try Self.image()
    var failures = 0
    for left in 0..<7 {
      let isFull = Tally()
      try script(image, seeds: 0..<1) { rig in
        let volume = rig.volume
        if left == 0 {
          var index = 0
          while (try? await volume.makeNode("lost+found/\(index)", .fifo)) != nil { index += 1 }
        } else {
          let file = try await volume.open("filler", create: true)
          while let count = try? await file.append([UInt8](repeating: 7, count: 256 << 10)), count > 0 {}
          try await file.truncate(to: try await file.status().byteCount - UInt64(left - 1) * 1024)
          await file.close()
        }
        await rig.settle()
        let before = try await Self.tree(volume), free = await volume.statistics
        let error: (any Error)?
        do {
          try await operation.run(volume)
          error = nil
        } catch let caught { error = caught }
        guard let error else { return }
        isFull.count += 1
        guard case .noSpace? = error as? Ext2Error else { throw error }
        #expect(try await Self.tree(volume) == before, "\(left) left")
        await rig.settle()
        #expect(await volume.statistics == free, "\(left) left")
        guard left > 0 else { return }
        // What it had taken and given back is free for anybody.
        let file = try await volume.open("filler")
        while let count = try? await file.append([UInt8](repeating: 7, count: 1024)), count > 0 {}
        let state = try await volume.superblock().0.state
        #expect(!state.contains(.error), "\(left) left")
      }
      failures += isFull.count
    }
    let needsNothing = [
      "unlink", "rmdir", "rename inside a directory", "rename of a directory to another", "rename over a file",
      "rename over a directory", "link", "chmod with an ACL",
    ]
    #expect(failures > 0 || needsNothing.contains(operation.testDescription))
  }

  /// The volume with a directory that is found to be corrupt as soon as it is listed, without reading.
  private static func withCorruptDirectory() throws -> [UInt8] {
    try Images.edited(try image(), ["mkdir bad", "sif bad block[0] 0"])
  }
  private static let refusing = VolumeOptions.quiet.with { $0.onErrors = .remountReadOnly }
  private static func healthyTree(_ volume: Volume) async throws -> [String] {
    var lines: [String] = []
    for path in ["/d/", "/e/", "/full/", "/acl/"] { lines += try await tree(volume, path) }
    return lines
  }
  /// Corruption is found: with errors=remount-ro nothing may change any more.
  private static func findCorruption(_ volume: Volume) async {
    let error = await errorOf { () async throws(Ext2Error) in try await volume.list("bad") }
    guard case .corrupt? = error else {
      Issue.record("\(error.map { "\($0)" } ?? "no error")")
      return
    }
  }

  @Test(
    "an operation under which the volume becomes read-only changes nothing, whatever it was reading",
    arguments: operations)
  func becomesReadOnly(operation: Operation) throws {
    let image = try Self.withCorruptDirectory()
    let before = Tally()
    let untouched = VolumeRig.run(image) { before.notes = try await Self.healthyTree($0.volume) }
    #expect(untouched.failures == [])
    var heldCount = 0
    for held in 0..<40 {
      let count = Tally(), wasHeld = Tally()
      let outcome = VolumeRig.run(image, seed: UInt64(held), options: Self.refusing) { rig in
        let volume = rig.volume
        _ = try await volume.status(of: "bad")
        let isDone = Tally()
        await rig.treat { request in
          guard request.operation == .read, isDone.count == 0 else { return .proceed }
          count.count += 1
          return count.count - 1 == held ? .hold : .proceed
        }
        async let failing = {
          do { try await operation.run(volume) } catch {
            isDone.count = 1
            return true
          }
          isDone.count = 1
          return false
        }()
        await rig.settle()
        wasHeld.count = await rig.heldCount
        if wasHeld.count == 0 {
          #expect(await !failing)
          return
        }
        await Self.findCorruption(volume)
        await rig.serve()
        #expect(await failing, "read \(held)")
        await rig.settle()
        let after = try await Self.healthyTree(volume)
        #expect(after == before.notes, "read \(held)")
      }
      #expect(outcome.failures == [], "read \(held)")
      heldCount += wasHeld.count
      if wasHeld.count == 0 { break }
    }
    #expect(heldCount > 1)
  }

  /// Changes of the file "d/a", which wait for its lock.
  static let changes: [Operation] = [
    Operation("write") { try await $0.open("d/a").write([1], at: 400_000) },
    Operation("truncate") { try await $0.open("d/a").truncate(to: 100) },
    Operation("grow") { try await $0.open("d/a").truncate(to: 500_000) },
    Operation("punch") { try await $0.open("d/a").punch(0..<200_000) },
    Operation("allocate") { try await $0.open("d/a").fallocate([], 300_000..<500_000) },
    Operation("chmod") { try await $0.change("d/a", StatusChanges(permissions: 0o600)) },
    Operation("chown") { try await $0.change("d/a", StatusChanges(user: 5)) },
    Operation("set an attribute") { try await $0.setAttribute("user.x", to: [1], of: "d/a") },
    Operation("set an ACL") { try await $0.setAccessControlList(nil, of: "d/a") },
  ]

  @Test("who waits for a file's lock while the volume becomes read-only changes nothing", arguments: changes)
  func becomesReadOnlyBeforeLock(change: Operation) throws {
    let image = try Self.withCorruptDirectory()
    let outcome = VolumeRig.run(image, options: Self.refusing) { rig in
      let volume = rig.volume
      let file = try await volume.open("d/a")
      let before = try await file.status()
      _ = try await volume.status(of: "bad")
      await rig.hold { $0.operation == .read }
      // It holds the lock while the block of attributes is read.
      async let names = volume.attributeNames(of: "d/a")
      try await rig.untilHeld()
      async let changing: Void = change.run(volume)
      await rig.settle()
      await Self.findCorruption(volume)
      await rig.serve()
      do {
        try await changing
        Issue.record("it was changed")
      } catch Ext2Error.readOnly {}
      #expect(try await names.count == 1)
      let after = try await file.status()
      #expect(after == before)
    }
    #expect(outcome.failures == [])
  }
}
