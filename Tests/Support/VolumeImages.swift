package import Ext2Tools
internal import Workload

extension Images {
  /// An empty volume of 1,024 blocks of 1 KiB, or 512 larger ones, with 64 inodes and nothing reserved.
  package static func empty(
    blockSize: Int, blockCount: Int? = nil, _ change: (inout MakeOptions) throws -> Void = { _ in }
  ) throws -> [UInt8] {
    let count = blockCount ?? (blockSize == 1024 ? 1024 : 512)
    return try make(blockSize: blockSize, byteCount: count * blockSize) { options in
      options.inodeCount = 64
      options.reservedPercent = 0
      try change(&options)
    }
  }

  /// The same with further options of mke2fs, which makes it.
  package static func empty(blockSize: Int, blockCount: Int? = nil, options: [String]) throws -> [UInt8] {
    let count = blockCount ?? (blockSize == 1024 ? 1024 : 512)
    return try make(blockSize: blockSize, byteCount: count * blockSize, options: ["-N", "64", "-m", "0"] + options)
  }

  /// What `script` leaves on a volume that it fills and that is then unmounted.
  package static func prepared(
    _ image: [UInt8], _ script: @escaping @Sendable (VolumeRig) async throws -> Void
  ) throws -> [UInt8] {
    let outcome = VolumeRig.run(image, seed: 77, script)
    guard outcome.failures.isEmpty, outcome.unmountError == nil else {
      throw Failure(output: "\(outcome.failures) \(outcome.unmountError ?? "")")
    }
    return outcome.image
  }

  /// Runs commands of debugfs that change an image, one a line.
  package static func edited(_ image: [UInt8], _ commands: [String]) throws -> [UInt8] {
    try TemporaryFile.with(contents: image) { path in
      try TemporaryFile.with(contents: Array((commands.joined(separator: "\n") + "\n").utf8)) { script in
        guard let outcome = ExternalTool("debugfs")?.run(["-w", "-f", script, path]) else {
          throw Failure(output: "no debugfs")
        }
        guard outcome.exitCode == 0 else { throw Failure(output: outcome.output) }
        return try TemporaryFile.read(path)
      }
    }
  }

  /// What a tool that reads an image prints; `arguments` come before the image's path.
  package static func output(of tool: String, _ arguments: [String], on image: [UInt8]) throws -> String {
    try TemporaryFile.with(contents: image) { path in
      guard let outcome = ExternalTool(tool)?.run(arguments + [path]) else { throw Failure(output: "no \(tool)") }
      return outcome.output
    }
  }
}

extension Images {
  /// The image after e2fsck has optimised its directories: large ones get a hash index.
  package static func rebuilt(_ image: [UInt8]) throws -> [UInt8] {
    try TemporaryFile.with(contents: image) { path in
      guard let outcome = ExternalTool("e2fsck")?.run(["-fyD", path]), outcome.exitCode <= 1 else {
        throw Failure(output: "e2fsck -D failed")
      }
      return try TemporaryFile.read(path)
    }
  }
}
