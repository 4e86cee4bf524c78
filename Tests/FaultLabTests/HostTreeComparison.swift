import Ext2Format
import FaultLab
import Support
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Compares a tree that the kernel shows, or debugfs, with a model. Throws the first difference.
struct HostTreeComparison {
  let model: TreeModel
  /// The inodes of the volume have nanoseconds.
  let hasNanoseconds: Bool

  // MARK: The kernel

  func compare(mountedAt folder: String) throws { try compare(model.root, Array(folder.utf8), "/") }

  private func compare(_ node: TreeModel.Node, _ path: [UInt8], _ text: String) throws {
    func check<V: Equatable>(_ what: String, _ found: V, _ expected: V) throws {
      if found != expected { throw TreeDifference(description: "kernel: \(text): \(what): \(found), not \(expected)") }
    }
    var status = stat()
    try check("lstat", unsafe lstat(cString(path), &status), 0)
    try check("type", UInt16(status.st_mode >> 12), node.type.rawValue)
    try check("mode", UInt16(status.st_mode & 0o7777), node.permissions)
    try check("links", Int(status.st_nlink), node.linkCount)
    try check("user", status.st_uid, node.user)
    try check("group", status.st_gid, node.group)
    if let time = node.modificationTime {
      try check("mtime", Int64(status.st_mtim.tv_sec), time.seconds)
      if hasNanoseconds { try check("ns", UInt32(status.st_mtim.tv_nsec), time.nanoseconds) }
    }
    switch node.type {
    case .directory:
      let names = try self.names(path)
      try check("names", Set(names), Set(node.entries.keys))
      for (name, child) in node.entries {
        try compare(child, path + [0x2F] + name, text + String(decoding: name, as: UTF8.self) + "/")
      }
    case .symbolicLink:
      var buffer = [CChar](repeating: 0, count: 70_000)
      let length = unsafe readlink(cString(path), &buffer, buffer.count)
      try check("target", buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, node.target)
    case .blockDevice, .characterDevice:
      // The kernel's own split of a device number: 12 and 20 bits (include/linux/kdev_t.h; glibc's has more).
      let device = UInt64(status.st_rdev)
      try check("major", UInt32(device >> 8 & 0xFFF), node.device.major)
      try check("minor", UInt32(device & 0xFF | device >> 12 & 0xF_FF00), node.device.minor)
    case .regular where !node.isUnknown:
      try check("size", UInt64(status.st_size), node.byteCount)
      try compareData(node, path, check)
    default: break
    }
  }

  private func compareData(
    _ node: TreeModel.Node, _ path: [UInt8], _ check: (String, UInt64, UInt64) throws -> Void
  ) throws {
    let descriptor = unsafe open(cString(path), O_RDONLY)
    try check("open", descriptor < 0 ? 1 : 0, 0)
    let file = FileDescriptor(rawValue: descriptor)
    defer { try? file.close() }
    let size = UInt64(model.blockSize)
    for (index, block) in node.blocks where index * size < node.byteCount {
      let count = Int(min(size, node.byteCount - index * size))
      var found = [UInt8](repeating: 0xEE, count: count)
      let read = try unsafe found.withUnsafeMutableBytes {
        unsafe try file.read(fromAbsoluteOffset: Int64(index * size), into: $0)
      }
      try check("bytes read of block \(index)", UInt64(read), UInt64(count))
      try check("bytes of block \(index) are equal", found == Array(block.prefix(count)) ? 1 : 0, 1)
    }
    // Blocks, seen as data and holes.
    var dataCount: UInt64 = 0
    var position: Int64 = 0
    while true {
      let start = lseek(descriptor, Int(position), 3)
      if start < 0 { break }
      let end = lseek(descriptor, start, 4)
      dataCount += (UInt64(end) + size - 1) / size - UInt64(start) / size
      position = Int64(end)
    }
    try check("blocks of data", dataCount, UInt64(node.blocks.keys.filter { $0 * size < node.byteCount }.count))
  }

  private func names(_ path: [UInt8]) throws -> [[UInt8]] {
    guard let directory = unsafe opendir(cString(path)) else { throw TreeDifference(description: "opendir") }
    defer { unsafe closedir(directory) }
    var names: [[UInt8]] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: UInt8.self, capacity: 256) { bytes in
          var name: [UInt8] = []
          while unsafe bytes[name.count] != 0 { name.append(unsafe bytes[name.count]) }
          return name
        }
      }
      if name != Array(".".utf8) && name != Array("..".utf8) { names.append(name) }
    }
    return names
  }

  private func cString(_ path: [UInt8]) -> [CChar] { path.map { CChar(bitPattern: $0) } + [0] }

  // MARK: debugfs

  func compareWithDebugfs(_ image: [UInt8]) throws {
    var level: [(node: TreeModel.Node, inode: UInt32, text: String)] = [(model.root, 2, "/")]
    while !level.isEmpty {
      // All directories of a level in one run.
      let output = try Images.debugfs(level.map { "ls -p <\($0.inode)>" }, on: image)
      var next: [(node: TreeModel.Node, inode: UInt32, text: String)] = []
      for (entry, listing) in zip(level, output) {
        var names: Set<[UInt8]> = []
        for line in listing.split(separator: 0x0A) {
          let fields = line.split(separator: 0x2F, omittingEmptySubsequences: false).map(Array.init)
          guard fields.count >= 7 else { continue }
          func number(_ index: Int, _ radix: Int = 10) -> UInt32 {
            // Owners from 2^31 on are printed as negative.
            UInt32(truncatingIfNeeded: Int64(String(decoding: fields[index], as: UTF8.self), radix: radix) ?? 0)
          }
          let name = fields[5]
          if name == Array(".".utf8) || name == Array("..".utf8) || number(1) == 0 { continue }
          names.insert(name)
          guard let child = entry.node.entries[name] else {
            throw TreeDifference(description: "debugfs: \(entry.text): has \(String(decoding: name, as: UTF8.self))")
          }
          let text = entry.text + String(decoding: name, as: UTF8.self)
          let mode = UInt32(child.type.rawValue) << 12 | UInt32(child.permissions)
          guard number(2, 8) == mode, number(3) == child.user, number(4) == child.group else {
            throw TreeDifference(
              description:
                "debugfs: \(text): \(String(decoding: line, as: UTF8.self)), mode should be \(String(mode, radix: 8)), owner \(child.user):\(child.group)"
            )
          }
          if child.type == .regular && !child.isUnknown
            && UInt64(String(decoding: fields[6], as: UTF8.self)) != child.byteCount
          {
            throw TreeDifference(description: "debugfs: \(text): size \(fields[6]), not \(child.byteCount)")
          }
          if child.type == .directory { next.append((child, number(1), text + "/")) }
        }
        if names != Set(entry.node.entries.keys) {
          throw TreeDifference(description: "debugfs: \(entry.text): names are missing")
        }
      }
      level = next
    }
  }
}

extension Images {
  /// What each command of debugfs prints.
  static func debugfs(_ commands: [String], on image: [UInt8]) throws -> [ArraySlice<UInt8>] {
    try TemporaryFile.with(contents: image) { path in
      try TemporaryFile.with(contents: Array((commands.joined(separator: "\n") + "\n").utf8)) { script in
        try TemporaryFile.with(contents: []) { target in
          _ = try Kernel.run("sh", ["-c", "debugfs -f '\(script)' '\(path)' >'\(target)' 2>/dev/null"])
          let output = try TemporaryFile.read(target)
          // Each command is printed before its output.
          let prompt = Array("debugfs: ".utf8)
          var starts: [Int] = []
          var index = 0
          while index + prompt.count <= output.count {
            if (index == 0 || output[index - 1] == 0x0A), Array(output[index..<index + prompt.count]) == prompt {
              starts.append(index)
            }
            index += 1
          }
          return starts.enumerated().map { step, start in
            let end = step + 1 < starts.count ? starts[step + 1] : output.count
            let lineEnd = output[start..<end].firstIndex(of: 0x0A) ?? end
            return output[lineEnd..<end]
          }
        }
      }
    }
  }
}
