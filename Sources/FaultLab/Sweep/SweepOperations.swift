// The operations that are swept, and the tree they work on: small, but with a file that needs an indirect block and one
// that needs a doubly indirect one, a directory without room for another name, and attributes in the inode and outside.
internal import Ext2
internal import Ext2Format
internal import Reactor
internal import Workload

enum SweepOperations {
  static let longName = String(repeating: "n", count: 240)
  private static let longTarget = String(repeating: "target/", count: 20)
  private static let listText = "u::rwx,u:1:r-x,g::r-x,m::rwx,o::---"
  static let uuid = [UInt8](1...16)

  /// What is on the volume before.
  static func prepare(_ volume: Volume) async throws {
    for path in ["/A", "/B", "/A/dir", "/B/dir", "/A/sub", "/full", "/acl"] { try await volume.makeDirectory(path) }
    for (path, offset, count) in [
      ("/A/foo", 0, 3500), ("/B/foo", 0, 30_000), ("/A/far", 280 << 10, 3000), ("/A/sub/leaf", 0, 10),
    ] as [(String, UInt64, Int)] {
      let file = try await volume.open(path, create: true)
      try await file.write(content(offset, count, 1), at: offset)
      await file.close()
    }
    for index in 0..<3 { await (try volume.open("/full/\(index)\(longName)", create: true)).close() }
    try await volume.makeSymbolicLink("/A/short", to: "foo")
    try await volume.makeSymbolicLink("/A/long", to: longTarget)
    try await volume.setAttribute("user.small", to: [1, 2, 3], of: "/A/foo")
    try await volume.setAttribute("user.large", to: content(0, 400, 2), of: "/B/foo")
    let list = try AccessControlList(text: listText)
    try await volume.setAccessControlList(list, of: "/A/sub/leaf")
    try await volume.setAccessControlList(list, of: "/acl", isDefault: true)
  }

  static func content(_ offset: UInt64, _ count: Int, _ stamp: UInt64) -> [UInt8] {
    ContentStamp(seed: stamp).bytes(count, at: offset)
  }

  static let all: [SweepOperation] = whole + contents + names + links + attributes + durability

  // MARK: The volume

  private static let whole: [SweepOperation] = [
    SweepOperation("mount") { _ in }.with {
      $0.phases = [.call]
      $0.mayMark = true
    },
    SweepOperation("unmount", file: "/A/foo") { _ in }.with {
      $0.given = dirty
      $0.phases = [.unmount]
    },
    SweepOperation("remount-read-only", file: "/A/foo") { try await $0.volume.remount(isReadOnly: true) }.with {
      $0.given = dirty
      $0.leavesUnchangeable = true
    },
    SweepOperation("remount-read-write") { try await $0.volume.remount(isReadOnly: false) }.with {
      $0.given = { try await $0.volume.remount(isReadOnly: true) }
      $0.mayMark = true
    },
    SweepOperation("freeze", file: "/A/foo") { try await $0.volume.freeze() }.with {
      $0.given = dirty
      $0.leavesUnchangeable = true
      $0.persistence = [.everything]
    },
    SweepOperation("thaw") { try await $0.volume.thaw() }.with { $0.given = { try await $0.volume.freeze() } },
    SweepOperation("trim") { _ = try await $0.volume.trim() },
    SweepOperation("set-label") { try await $0.volume.setLabel("swept") },
    SweepOperation("set-uuid") { try await $0.volume.setUUID(uuid) },
    SweepOperation("statfs") { target in
      let statistics = await target.volume.statistics
      try WrongAnswer.unless(statistics.blockCount > statistics.freeBlockCount, "no block is in use")
    },
  ]

  /// Overwrites, and grows, what is open.
  private static let dirty: SweepOperation.Body = { target in
    guard let file = target.file else { return }
    try await writeAll(file, 500, 6000, stamp: 7)
  }

  private static func writeAll(_ file: File, _ offset: UInt64, _ count: Int, stamp: UInt64) async throws {
    let written = try await file.write(content(offset, count, stamp), at: offset)
    // Fewer bytes are a failure with a part done.
    if written < count { throw ShortWrite() }
  }

  // MARK: Contents

  private static let contents: [SweepOperation] = [
    SweepOperation("read", file: "/B/foo") { target in
      guard let file = target.file else { return }
      let bytes = try await file.read(at: 0, count: 30_000)
      try WrongAnswer.unless(bytes == content(0, 30_000, 1), "read: not the bytes of the file")
    },
    SweepOperation("read-far", file: "/A/far") { target in
      guard let file = target.file else { return }
      let bytes = try await file.read(at: 279 << 10, count: 4096)
      let isRight = bytes == [UInt8](repeating: 0, count: 1024) + content(280 << 10, 3000, 1)
      try WrongAnswer.unless(isRight, "read: not the bytes of the file")
    },
    piecewise("overwrite", "/A/foo") { try await writeAll($0, 700, 2000, stamp: 3) },
    piecewise("write-into-hole", "/A/far") { try await writeAll($0, 20_000, 3000, stamp: 3) },
    piecewise("append", "/A/foo") { file in
      if try await file.append(content(3500, 2000, 3)) < 2000 { throw ShortWrite() }
    },
    piecewise("append-indirect", "/A/foo") { try await writeAll($0, 3500, 20_000, stamp: 3) },
    withFile("truncate-up", "/A/foo") { try await $0.truncate(to: 20_000) },
    withFile("truncate-down", "/A/foo") { try await $0.truncate(to: 1000) },
    withFile("truncate-indirect", "/B/foo") { try await $0.truncate(to: 14_000) },
    withFile("truncate-far", "/A/far") { try await $0.truncate(to: 0) }.with {
      $0.frees = true
      $0.mayBeDone = true
    },
    withFile("punch", "/B/foo") { try await $0.punch(1500..<16_000) },
    piecewise("zero-range", "/B/foo") { try await $0.fallocate(.zeroRange, 1500..<16_000) },
    piecewise("preallocate", "/A/far") { try await $0.fallocate([], 10_000..<20_000) },
    withFile("seek-hole", "/B/foo") { file in
      try WrongAnswer.unless(try await file.seek(.hole, from: 0) == 30_000, "seek: not the end")
    },
    withFile("seek-data", "/A/far") { file in
      try WrongAnswer.unless(try await file.seek(.data, from: 0) == 280 << 10, "seek: not the first block")
    },
    withFile("extents", "/A/far") { file in
      try WrongAnswer.unless(try await file.extents().first?.fileBlock == 280, "extents: not the first block")
    },
  ]

  static func withFile(
    _ name: String, _ path: String, _ body: @escaping @Sendable (File) async throws -> Void
  ) -> SweepOperation {
    SweepOperation(name, file: path) { target in
      guard let file = target.file else { return }
      try await body(file)
    }
  }

  private static func piecewise(
    _ name: String, _ path: String, _ body: @escaping @Sendable (File) async throws -> Void
  ) -> SweepOperation {
    withFile(name, path, body).with { $0.isPiecewise = true }
  }

  // MARK: Names

  private static let names: [SweepOperation] = [
    SweepOperation("open") { await (try $0.volume.open("/B/foo")).close() },
    SweepOperation("open-truncate") { await (try $0.volume.open("/A/foo", .truncate)).close() },
    SweepOperation("create") { await (try $0.volume.open("/A/new", create: true)).close() },
    SweepOperation("create-in-full-block") { await (try $0.volume.open("/full/\(longName)", create: true)).close() },
    SweepOperation("link") { try await $0.volume.link("/A/foo", to: "/B/new") },
    SweepOperation("unlink") { try await $0.volume.unlink("/A/foo") },
    SweepOperation("unlink-indirect") { try await $0.volume.unlink("/B/foo") }.with { $0.frees = true },
    SweepOperation("unlink-with-discard") { try await $0.volume.unlink("/B/foo") }.with {
      $0.options = { $0.discards = true }
      $0.frees = true
    },
    SweepOperation("close-unlinked", file: "/B/foo") { target in
      await target.file?.close()
      await target.other?.close()
    }.with {
      $0.given = { try await $0.volume.unlink("/B/foo") }
      $0.frees = true
    },
    SweepOperation("rename") { try await $0.volume.rename("/A/foo", to: "/A/new") },
    SweepOperation("rename-across") { try await $0.volume.rename("/A/foo", to: "/B/new") },
    SweepOperation("rename-over-file") { try await $0.volume.rename("/A/foo", to: "/B/foo") }.with {
      $0.frees = true
    },
    SweepOperation("rename-directory") { try await $0.volume.rename("/A/sub", to: "/B/new") },
    SweepOperation("rename-over-directory") { try await $0.volume.rename("/A/sub", to: "/B/dir") },
    SweepOperation("rename-into-full-block") { try await $0.volume.rename("/A/foo", to: "/full/\(longName)") },
    SweepOperation("mkdir") { try await $0.volume.makeDirectory("/A/new") },
    SweepOperation("rmdir") { try await $0.volume.removeDirectory("/A/dir") },
    SweepOperation("list") { target in
      let names = try await target.volume.list("/full").filter { $0 != "." && $0 != ".." }
      try WrongAnswer.unless(names.count == 3, "list: not three names")
    },
    SweepOperation("status") { target in
      let status = try await target.volume.status(of: "/B/foo")
      try WrongAnswer.unless(status.byteCount == 30_000, "status: not its size")
    },
  ]

  private static let links: [SweepOperation] = [
    SweepOperation("symlink-short") { try await $0.volume.makeSymbolicLink("/A/new", to: "target") },
    SweepOperation("symlink-long") { try await $0.volume.makeSymbolicLink("/A/new", to: longTarget) },
    SweepOperation("readlink") { target in
      let found = try await target.volume.symbolicLinkTarget("/A/long")
      try WrongAnswer.unless(found == Array(longTarget.utf8), "readlink: not its target")
    },
    SweepOperation("mknod") { try await $0.volume.makeNode("/A/new", .fifo) },
  ]

  // MARK: Attributes

  private static let attributes: [SweepOperation] = [
    SweepOperation("chmod") { try await $0.volume.change("/A/foo", StatusChanges(permissions: 0o600)) },
    SweepOperation("chown") { try await $0.volume.change("/A/foo", StatusChanges(user: 7, group: 8)) },
    SweepOperation("utimes") { target in
      let time = target.volume.reactor.calendarTime
      try await target.volume.change("/A/foo", StatusChanges(accessTime: time, modificationTime: time))
    },
    SweepOperation("chmod-with-acl") { try await $0.volume.change("/A/sub/leaf", StatusChanges(permissions: 0o640)) },
    SweepOperation("setxattr-in-inode") { try await $0.volume.setAttribute("user.small", to: [9], of: "/A/foo") },
    SweepOperation("setxattr-in-block") { target in
      try await target.volume.setAttribute("user.large", to: content(0, 500, 4), of: "/A/foo")
    },
    SweepOperation("setxattr-replace") { target in
      try await target.volume.setAttribute("user.large", to: content(0, 300, 4), of: "/B/foo")
    },
    SweepOperation("getxattr") { target in
      let value = try await target.volume.attribute("user.large", of: "/B/foo")
      try WrongAnswer.unless(value == content(0, 400, 2), "getxattr: not its value")
    },
    SweepOperation("listxattr") { target in
      let names = try await target.volume.attributeNames(of: "/B/foo")
      try WrongAnswer.unless(names == [Array("user.large".utf8)], "listxattr: not its names")
    },
    SweepOperation("removexattr") { try await $0.volume.removeAttribute("user.large", of: "/B/foo") },
    SweepOperation("set-acl") { target in
      let list = try AccessControlList(text: listText)
      try await target.volume.setAccessControlList(list, of: "/A/foo")
    },
    SweepOperation("get-acl") { target in
      let list = try await target.volume.accessControlList(of: "/A/sub/leaf")
      try WrongAnswer.unless(try list == AccessControlList(text: listText), "not its ACL")
    },
    SweepOperation("inherit-acl") { try await $0.volume.makeDirectory("/acl/new") },
  ]

  // MARK: Durability

  private static func path(_ text: String) -> [UInt8] { Array(text.utf8) }

  private static let durability: [SweepOperation] = [
    withFile("fsync", "/A/foo") { try await $0.synchronize() }.with {
      $0.given = dirty
      $0.persistence = [.file(path("/A/foo"), dataOnly: false)]
    },
    withFile("fsync-indirect", "/B/foo") { try await $0.synchronize() }.with {
      $0.given = { target in
        guard let file = target.file else { return }
        for block in 0..<6 { try await writeAll(file, UInt64(block) * 8000, 700, stamp: 5) }
      }
      $0.persistence = [.file(path("/B/foo"), dataOnly: false)]
    },
    withFile("fdatasync", "/A/foo") { try await $0.synchronizeData() }.with {
      $0.given = dirty
      $0.persistence = [.file(path("/A/foo"), dataOnly: true)]
    },
    SweepOperation("fsync-directory") { try await $0.volume.synchronize("/A") }.with {
      $0.given = { await (try $0.volume.open("/A/new", create: true)).close() }
      $0.persistence = [.directory(path("/A"))]
    },
    SweepOperation("sync", file: "/A/foo") { try await $0.volume.synchronize() }.with {
      $0.given = { target in
        try await dirty(target)
        try await target.volume.makeDirectory("/B/new")
        try await target.volume.unlink("/B/foo")
      }
      $0.persistence = [.everything]
      $0.phases = [.call]
      $0.frees = true
    },
    piecewise("write-synchronous", "/A/foo") { try await writeAll($0, 700, 4000, stamp: 3) }.with {
      $0.options = { $0.isSynchronous = true }
      $0.persistence = [.file(path("/A/foo"), dataOnly: false)]
      $0.mayBeDone = true
    },
    SweepOperation("mkdir-synchronous") { try await $0.volume.makeDirectory("/A/new") }.with {
      $0.options = { $0.isDirectorySynchronous = true }
      $0.persistence = [.directory(path("/A"))]
      $0.mayBeDone = true
    },
  ]
}

/// A write that was done in part: the device failed in between.
struct ShortWrite: Error {}
