internal import BlockDevice
internal import Glibc
internal import SystemPackage
internal import Testing

@Suite("Opening a backing file")
struct OpeningTests {
  /// Runs a command with the usual tools in reach and returns its exit code.
  private static func shell(_ command: String) -> Int32 {
    unsafe system("PATH=$PATH:/usr/sbin:/sbin; { \(command); } >/dev/null 2>&1")
  }
  /// Why tests that attach loop devices or mount cannot run; nil when they can.
  private static let privilegeLack: String? =
    geteuid() != 0
    ? "needs root"
    : shell("losetup --find") != 0 ? "no loop device is to be had" : nil
  private static let isPrivileged = privilegeLack == nil

  private func errorOfOpening(_ path: String, _ options: FileDevice.Options = .init()) -> DeviceError? {
    do throws(DeviceError) {
      _ = try FileDevice(path: path, options: options)
      return nil
    } catch { return error }
  }

  @Test("a second opening for writing is refused until the first is closed", arguments: Medium.allCases)
  func claim(medium: Medium) throws {
    let scratch = Scratch(medium)
    let path = try scratch.image()
    let first = try FileDevice(path: path)
    #expect(errorOfOpening(path) == .inUse(path: path, by: "another opening for writing"))
    #expect(errorOfOpening(path, .init(isReadOnly: true)) == nil)
    first.close()
    #expect(errorOfOpening(path) == nil)
  }

  @Test("a claim ends with its device, though a child that has not come to its exec has the descriptor still")
  func claimEnds() throws {
    let scratch = Scratch(.tmpfs)
    let path = try scratch.image()
    let first = try FileDevice(path: path)
    // Shares the open file description, as a child's descriptor does.
    let copy = try #require((3..<4096).first { Self.target(of: $0) == path }.map { dup($0) })
    defer { close(copy) }
    first.close()
    #expect(errorOfOpening(path) == nil)
  }

  private static func target(of descriptor: Int32) -> String? {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = unsafe readlink("/proc/self/fd/\(descriptor)", &bytes, bytes.count)
    return count < 0 ? nil : String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  @Test("a second process is refused too, and may read")
  func otherProcess() async throws {
    let scratch = Scratch(.tmpfs)
    let path = try scratch.image()
    let holder = try FileDevice(path: path)
    await #expect(processExitsWith: .exitCode(7)) { [path = path as String] in
      do throws(DeviceError) {
        _ = try FileDevice(path: path, options: .init(isReadOnly: true))
        _ = try FileDevice(path: path)
        exit(1)
      } catch { exit(error == .inUse(path: path, by: "another opening for writing") ? 7 : 2) }
    }
    holder.close()
  }

  @Test(
    "an image behind a loop device is refused, unless the loop device only reads",
    .enabled(if: OpeningTests.isPrivileged, Comment(rawValue: OpeningTests.privilegeLack ?? "")),
    arguments: [false, true])
  func loop(isReadOnly: Bool) throws {
    let scratch = Scratch(.disk)
    let path = try scratch.image()
    let loop = scratch.path("loop")
    try #require(
      Self.shell(
        "losetup --find --show \(isReadOnly ? "--read-only" : "") \(path) > \(loop).tmp; mv \(loop).tmp \(loop)") == 0)
    defer { _ = Self.shell("losetup --detach $(cat \(loop))") }
    let error = errorOfOpening(path)
    if isReadOnly {
      #expect(error == nil)
    } else {
      guard case .inUse(path, let by) = error else {
        Issue.record("not refused: \(String(describing: error))")
        return
      }
      #expect(by.hasPrefix("the kernel's loop device /dev/loop"))
      #expect(errorOfOpening(path, .init(isReadOnly: true)) == nil)
    }
  }

  @Test(
    "a block device is a device, and a mounted one is refused",
    .enabled(if: OpeningTests.isPrivileged, Comment(rawValue: OpeningTests.privilegeLack ?? "")))
  func blockDevice() async throws {
    let scratch = Scratch(.disk)
    let path = try scratch.image(4 << 20)
    let link = scratch.path("link"), mount = scratch.path("mount")
    try #require(Self.shell("ln -s $(losetup --find --show \(path)) \(link)") == 0)
    defer { _ = Self.shell("umount \(mount); rmdir \(mount); losetup --detach $(readlink \(link))") }
    let bytes = pattern(4096, seed: 8)
    try await withFile(link) { stage in
      #expect(stage.queue.geometry.byteCount == 4 << 20)
      try await stage.queue.write(Buffer(bytes), at: 8192)
      try await stage.queue.writeZeroes(at: 16384, byteCount: 4096)
      try await stage.queue.flush()
      let back = Buffer(byteCount: 4096)
      try await stage.queue.read(back, at: 8192)
      #expect(back.bytes == bytes)
    }
    try #require(Self.shell("mke2fs -q $(readlink \(link)); mkdir \(mount); mount $(readlink \(link)) \(mount)") == 0)
    #expect(errorOfOpening(link) == .inUse(path: link, by: "the kernel (mounted?) or another opening"))
  }

  @Test(
    "on a file system without direct transfers the device is buffered and says why",
    .enabled(if: OpeningTests.isPrivileged, Comment(rawValue: OpeningTests.privilegeLack ?? "")))
  func fallback() async throws {
    let scratch = Scratch(.disk)
    let mount = scratch.path("mount")
    try #require(Self.shell("mkdir \(mount) && mount -t ramfs ramfs \(mount)") == 0)
    defer { _ = Self.shell("umount \(mount); rmdir \(mount)") }
    // ramfs cannot allocate ahead either.
    #expect(try FileDevice.createImage(path: "\(mount)/image", byteCount: 1 << 16) == false)
    try await withFile("\(mount)/image") { stage in
      let bytes = pattern(4096, seed: 9)
      try await stage.queue.write(Buffer(bytes), at: 0)
      try await stage.queue.flush()
      let back = Buffer(byteCount: 4096)
      try await stage.queue.read(back, at: 0)
      #expect(back.bytes == bytes)
    }
    let device = try FileDevice(path: "\(mount)/image")
    #expect(device.bufferedReason == "its file system does not support O_DIRECT")
  }

  @Test("a file whose size direct transfers cannot reach is buffered or refused", arguments: Medium.allCases)
  func oddSizes(medium: Medium) throws {
    let scratch = Scratch(medium)
    let path = try scratch.image(3 * 512)
    let device = try FileDevice(path: path)
    #expect(device.geometry.byteCount == 3 * 512)
    #expect(device.geometry.logicalBlockSize == 512)
    device.close()
    var options = FileDevice.Options()
    options.logicalBlockSize = 1024
    #expect(
      errorOfOpening(path, options)
        == .unsuitable(path: path, reason: "its 1536 bytes are not a whole number of logical blocks of 1024"))
    options.logicalBlockSize = 4096
    #expect(
      errorOfOpening(path, options)
        == .unsuitable(path: path, reason: "its 1536 bytes are fewer than one logical block of 4096"))
    options.logicalBlockSize = 768
    #expect(
      errorOfOpening(path, options)
        == .unsuitable(path: path, reason: "logical blocks of 768 bytes: not a power of two from 512 to 65536"))
  }

  @Test("what cannot be a device is refused with the reason")
  func refusals() throws {
    let scratch = Scratch(.tmpfs)
    let missing = scratch.path("missing"), empty = scratch.path("empty"), fifo = scratch.path("fifo")
    #expect(errorOfOpening(missing) == .cannotOpen(path: missing, step: "statx", .noSuchFileOrDirectory))
    #expect(
      errorOfOpening(scratch.directory) == .unsuitable(path: scratch.directory, reason: "is a directory"))
    #expect(
      errorOfOpening("/dev/null")
        == .unsuitable(path: "/dev/null", reason: "is neither a regular file nor a block device"))
    #expect(Self.shell("mkfifo \(fifo)") == 0)
    #expect(
      errorOfOpening(fifo) == .unsuitable(path: fifo, reason: "is neither a regular file nor a block device"))
    #expect(Self.shell(": > \(empty)") == 0)
    #expect(
      errorOfOpening(empty)
        == .unsuitable(path: empty, reason: "its 0 bytes are fewer than one logical block of 512"))
    #expect(Self.shell("head -c 1000 /dev/zero > \(empty)") == 0)
    #expect(
      errorOfOpening(empty)
        == .unsuitable(path: empty, reason: "its 1000 bytes are not a whole number of logical blocks of 512"))
  }

  @Test("writes to a device opened for reading are refused", arguments: Medium.allCases)
  func readOnly(medium: Medium) async throws {
    let scratch = Scratch(medium)
    try await withFile(try scratch.image(), options: .init(isReadOnly: true)) { stage in
      let buffer = Buffer(byteCount: 4096)
      try await stage.queue.read(buffer, at: 0)
      await #expect(throws: DeviceError.readOnly(.write)) { try await stage.queue.write(buffer, at: 0) }
      await #expect(throws: DeviceError.readOnly(.discard)) {
        try await stage.queue.discard(at: 0, byteCount: 4096)
      }
    }
  }

  @Test("an image is not made over an existing file")
  func existing() throws {
    let scratch = Scratch(.tmpfs)
    let path = try scratch.image()
    #expect(throws: DeviceError.cannotOpen(path: path, step: "create", .fileExists)) {
      try FileDevice.createImage(path: path, byteCount: 4096)
    }
    let tooLarge = scratch.path("large")
    #expect(throws: DeviceError.self) { try FileDevice.createImage(path: tooLarge, byteCount: 1 << 60) }
    let isThere = unsafe access(tooLarge, F_OK) == 0
    #expect(!isThere)
  }
}
