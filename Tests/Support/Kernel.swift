internal import SystemPackage
internal import Workload

#if canImport(Glibc)
  internal import Glibc
#endif

/// The kernel's own ext2, over a loop mount: the judge that has nothing of ours in it.
package enum Kernel {
  /// Why an image cannot be mounted by the kernel here; nil when it can.
  package static let obstacle: String? = {
    guard Images.isAvailable else { return "mke2fs and e2fsck are needed" }
    do {
      try mounted(Images.empty(blockSize: 1024)) { _ in }
      return nil
    } catch { return "a loop mount needs root and a kernel with loop devices and ext2" }
  }()

  /// Mounts a copy of an image, runs `body` with the folder, and unmounts. Returns the image afterwards.
  @discardableResult package static func mounted(
    _ image: [UInt8], options: String = "loop", _ body: (String) throws -> Void
  ) throws -> [UInt8] {
    try TemporaryFile.with(contents: image) { path in
      let folder = path + ".mounted"
      try run("mkdir", [folder])
      defer { _ = try? run("rmdir", [folder]) }
      // The loop device goes with the mount.
      try run("mount", ["-t", "ext2", "-o", options, path, folder])
      var isMounted = true
      defer { if isMounted { _ = try? run("umount", ["-l", folder]) } }
      try body(folder)
      try unmount(folder)
      isMounted = false
      return try TemporaryFile.read(path)
    }
  }

  /// Whoever looks at all mounts of the machine may hold this one for a moment.
  private static func unmount(_ folder: String) throws {
    for _ in 0..<50 {
      if ExternalTool("umount")?.run([folder])?.exitCode == 0 { return }
      usleep(100_000)
    }
    try run("umount", [folder])
  }

  @discardableResult package static func run(_ tool: String, _ arguments: [String]) throws -> String {
    guard let outcome = ExternalTool(tool)?.run(arguments) else { throw Images.Failure(output: "no \(tool)") }
    guard outcome.exitCode == 0 else { throw Images.Failure(output: outcome.output) }
    return outcome.output
  }

  /// Makes a directory without starting a process.
  package static func makeDirectory(_ path: String) throws {
    guard unsafe mkdir(path, 0o755) == 0 else { throw Images.Failure(output: "mkdir \(path): errno \(errno)") }
  }

  package static func write(_ bytes: [UInt8], to path: String, at offset: Int64 = 0) throws {
    let file = try FileDescriptor.open(
      FilePath(path), .writeOnly, options: [.create, .closeOnExec], permissions: [.ownerReadWrite])
    try file.closeAfter { _ = try file.writeAll(toAbsoluteOffset: offset, bytes) }
  }
}
