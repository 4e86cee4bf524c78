internal import Glibc
internal import SystemPackage

/// Where and with what a run was made: what somebody needs who compares two reports.
package struct Provenance: Sendable, Equatable {
  /// The program's version, and the commit it was built from, where that is known.
  package var version: String
  package var commit: String?
  /// `Linux 6.1.0 x86_64`.
  package var kernel: String
  package var processor: String
  package var processorCount: Int
  package var memoryByteCount: UInt64
  /// The file system, by its name, that each backing file or image is on.
  package var fileSystems: [(path: String, type: String)] = []

  package static func == (one: Provenance, other: Provenance) -> Bool {
    one.version == other.version && one.commit == other.commit && one.kernel == other.kernel
      && one.processor == other.processor && one.processorCount == other.processorCount
      && one.memoryByteCount == other.memoryByteCount
      && one.fileSystems.elementsEqual(other.fileSystems) { $0 == $1 }
  }

  /// Of this machine.
  package init(version: String, commit: String?) {
    self.version = version
    self.commit = commit
    var names = utsname()
    _ = unsafe uname(&names)
    func text<Field>(_ field: Field) -> String {
      unsafe withUnsafeBytes(of: field) { bytes in unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }
    kernel = "\(text(names.sysname)) \(text(names.release)) \(text(names.machine))"
    processor = Self.processorName ?? "unknown"
    processorCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    memoryByteCount = HostFile.machineMemoryBytes
  }

  private static var processorName: String? {
    guard let text = HostFile.text(of: "/proc/cpuinfo", limit: 64 << 10) else { return nil }
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") || $0.hasPrefix("CPU part") }
    return line?.split(separator: ":", maxSplits: 1).last.map { String($0.drop { $0 == " " }) }
  }

  /// Notes the file system of a file; nothing where there is none.
  package mutating func noteFileSystem(of path: String) {
    guard !fileSystems.contains(where: { $0.path == path }), let type = Self.fileSystem(of: path) else { return }
    fileSystems.append((path, type))
  }

  /// The file system that a path is on: what /proc/self/mounts says of the longest mount point that leads to it, since
  /// statfs tells ext2, ext3 and ext4 apart no better than by one number.
  private static func fileSystem(of path: String) -> String? {
    guard let real = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(real) }
    let absolute = unsafe String(cString: real)
    guard let mounts = HostFile.text(of: "/proc/self/mounts", limit: 1 << 20) else { return nil }
    var best: (length: Int, type: String)?
    for line in mounts.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count > 2 else { continue }
      let point = String(words[1])
      let leads = point == "/" || absolute == point || absolute.hasPrefix(point + "/")
      // Of two at the same place the later one is seen.
      if leads, point.utf8.count >= best?.length ?? 0 { best = (point.utf8.count, String(words[2])) }
    }
    return best?.type
  }
}
