internal import CLinux
package import Ext2
internal import Ext2Format
internal import Reactor
internal import SystemPackage

#if canImport(Glibc)
  internal import Glibc
#endif

/// Everything that can be seen of a tree, a line a file in the order of their paths: what two drivers must agree on, and
/// what is recorded of an image.
///
///     inode type mode links user:group size sectors accessed modified changed what-it-holds attribute=value … path
///
/// Long names and values are cut, and have their length and their hash behind them.
package struct TreeListing: Equatable, Sendable {
  package var lines: [String]
  /// The lines, each with its newline.
  package var text: String { lines.map { $0 + "\n" }.joined() }

  /// The lines that only one of two listings has, for messages.
  package func difference(from other: TreeListing) -> [String] {
    let mine = Set(lines), theirs = Set(other.lines)
    return lines.filter { !theirs.contains($0) }.map { "- " + $0 }
      + other.lines.filter { !mine.contains($0) }.map { "+ " + $0 }
  }
  /// The line of a path; nil when there is none.
  package func line(_ path: String) -> String? { lines.first { $0.hasSuffix(" " + path) } }

  /// What is known of one file.
  struct Entry {
    var path: [UInt8]
    var inode: UInt64
    var type: UInt16
    var permissions: UInt16
    var links: UInt64
    var user: UInt32
    var group: UInt32
    var size: UInt64
    var sectors: UInt64
    var times: [CalendarTime]
    /// A target, a device number, ranges of data and a hash.
    var contents = "-"
    var attributes: [(name: [UInt8], value: [UInt8])] = []

    var line: String {
      let mode = "\(String(type, radix: 16)) \(String(permissions, radix: 8))"
      let times = times.map { "\($0.seconds).\($0.nanoseconds)" }.joined(separator: " ")
      let attributes = attributes.map { " \(TreeListing.text($0.name))=\(TreeListing.hex($0.value))" }.joined()
      let name = path.isEmpty ? "." : TreeListing.path(path)
      return "\(inode) \(mode) \(links) \(user):\(group) \(size) \(sectors) \(times) \(contents)\(attributes) \(name)"
    }
  }

  package init(lines: [String]) { self.lines = lines }

  init(_ entries: [Entry]) {
    lines = entries.sorted { $0.path.lexicographicallyPrecedes($1.path) }.map(\.line)
  }

  // MARK: As text

  static func path(_ bytes: [UInt8]) -> String {
    bytes.split(separator: UInt8(ascii: "/")).map { text(Array($0)) }.joined(separator: "/")
  }
  /// Printable bytes as they are, others in hexadecimal.
  static func text(_ bytes: [UInt8]) -> String {
    cut(bytes, limit: 40) { bytes in
      bytes.map { byte in
        (0x21...0x7E).contains(byte) && byte != 0x5C && byte != 0x3D
          ? String(UnicodeScalar(byte)) : "\\" + String(byte, radix: 16)
      }.joined()
    }
  }
  static func hex(_ bytes: [UInt8]) -> String {
    cut(bytes, limit: 24) { bytes in
      bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
  }
  private static func cut(_ bytes: [UInt8], limit: Int, _ text: (ArraySlice<UInt8>) -> String) -> String {
    if bytes.count <= limit { return text(bytes[...]) }
    var hash = Hash()
    hash.add(bytes)
    return "\(text(bytes.prefix(limit / 2)))~\(bytes.count)~\(hash)"
  }
  static func device(major: UInt32, minor: UInt32) -> String { "\(major):\(minor)" }
  static func ranges(_ ranges: [Range<UInt64>], _ hash: Hash) -> String {
    "[" + ranges.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",") + "]\(hash)"
  }

  /// FNV-1a, 64 bits.
  struct Hash: CustomStringConvertible {
    private var value: UInt64 = 0xCBF2_9CE4_8422_2325
    mutating func add(_ bytes: [UInt8]) { for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 } }
    var description: String { String(value, radix: 16) }
  }

  /// A difference to find between two listings that should not be: how the reading itself failed.
  struct Failure: Error, CustomStringConvertible { let description: String }
}

// MARK: Through a mounted volume of ours

extension TreeListing {
  /// Through a volume's own calls.
  package static func volume(_ volume: Volume) async throws -> TreeListing {
    var entries: [Entry] = []
    var next: [[UInt8]] = [[]]
    var directories: Set<UInt32> = []
    while let path = next.popLast() {
      let place = path.isEmpty ? Array("/".utf8) : path
      let status = try await volume.status(of: place, followsLink: false)
      var entry = Entry(
        path: path, inode: UInt64(status.inode), type: status.type.rawValue, permissions: status.permissions,
        links: UInt64(status.linkCount), user: status.user, group: status.group, size: status.byteCount,
        sectors: UInt64(status.sectorCount), times: [status.accessTime, status.modificationTime, status.changeTime])
      for name in try await volume.attributeNames(of: place, followsLink: false).sorted(by: precedes) {
        entry.attributes.append((name, try await volume.attribute(name, of: place, followsLink: false)))
      }
      switch status.type {
      case .directory:
        // A damaged volume may have one below itself.
        guard directories.insert(status.inode).inserted else { throw Failure(description: "\(text(path)): a loop") }
        for child in try await volume.entries(of: place) where child.text != "." && child.text != ".." {
          next.append(path.isEmpty ? child.name : path + [UInt8(ascii: "/")] + child.name)
        }
      case .symbolicLink: entry.contents = hex(try await volume.symbolicLinkTarget(place))
      case .blockDevice, .characterDevice:
        entry.contents = status.device.map { device(major: $0.major, minor: $0.minor) } ?? "?"
      case .regular: entry.contents = try await contents(of: try await volume.open(place), status.byteCount)
      case .fifo, .socket: break
      }
      entries.append(entry)
    }
    return TreeListing(entries)
  }

  private static func contents(of file: File, _ size: UInt64) async throws -> String {
    var found: [Range<UInt64>] = []
    var hash = Hash()
    var offset: UInt64 = 0
    while true {
      do { offset = try await file.seek(.data, from: offset) } catch Ext2Error.noSuchOffset { break }
      let end = try await file.seek(.hole, from: offset)
      found.append(offset..<end)
      while offset < end {
        let bytes = try await file.read(at: offset, count: Int(min(1 << 20, end - offset)))
        if bytes.isEmpty { throw Failure(description: "nothing to read at \(offset) of \(size)") }
        hash.add(bytes)
        offset += UInt64(bytes.count)
      }
    }
    await file.close()
    return ranges(found, hash)
  }

  private static func precedes(_ one: [UInt8], _ other: [UInt8]) -> Bool { one.lexicographicallyPrecedes(other) }
}

// MARK: Through the kernel

extension TreeListing {
  /// Through the calls of the system, below a folder.
  package static func host(_ folder: String) throws -> TreeListing {
    var entries: [Entry] = []
    var next: [[UInt8]] = [[]]
    while let path = next.popLast() {
      let place = cString(Array(folder.utf8) + (path.isEmpty ? [] : [UInt8(ascii: "/")] + path))
      var status = stat()
      guard unsafe lstat(place, &status) == 0 else { throw failure("lstat", path) }
      func time(_ time: timespec) -> CalendarTime {
        CalendarTime(seconds: Int64(time.tv_sec), nanoseconds: UInt32(time.tv_nsec))
      }
      var entry = Entry(
        path: path, inode: UInt64(status.st_ino), type: UInt16(status.st_mode >> 12),
        permissions: UInt16(status.st_mode & 0o7777), links: UInt64(status.st_nlink), user: status.st_uid,
        group: status.st_gid, size: UInt64(status.st_size), sectors: UInt64(status.st_blocks),
        times: [time(status.st_atim), time(status.st_mtim), time(status.st_ctim)])
      entry.attributes = try attributes(place, path)
      switch InodeType(rawValue: entry.type) {
      case .directory:
        for name in try names(place, path) { next.append(path.isEmpty ? name : path + [UInt8(ascii: "/")] + name) }
      case .symbolicLink:
        var buffer = [CChar](repeating: 0, count: 70_000)
        let count = unsafe readlink(place, &buffer, buffer.count)
        guard count >= 0 else { throw failure("readlink", path) }
        entry.contents = hex(buffer.prefix(count).map { UInt8(bitPattern: $0) })
      case .blockDevice, .characterDevice:
        var node = cl_node()
        guard unsafe cl_node_info(Int32(CL_WORKING_DIRECTORY), place, &node) == 0 else { throw failure("statx", path) }
        entry.contents = device(major: node.device_major, minor: node.device_minor)
      case .regular: entry.contents = try contents(place, path)
      default: break
      }
      entries.append(entry)
    }
    return TreeListing(entries)
  }

  private static func cString(_ bytes: [UInt8]) -> [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }
  private static func failure(_ call: String, _ path: [UInt8]) -> Failure {
    Failure(description: "\(call) \(text(path)): \(Errno(rawValue: errno))")
  }

  private static func attributes(_ place: [CChar], _ path: [UInt8]) throws -> [(name: [UInt8], value: [UInt8])] {
    // By an open directory and a name in it, as the calls want it; the root by its own descriptor.
    let cut = path.isEmpty ? place.count - 1 : place.lastIndex(of: 0x2F) ?? 0
    let name = path.isEmpty ? [0] : Array(place[(cut + 1)...])
    let directory = unsafe open(Array(place[..<cut]) + [0], O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw failure("open of the directory of", path) }
    defer { close(directory) }
    var buffer = [CChar](repeating: 0, count: 65_536)
    let count = unsafe cl_attribute_names(directory, name, &buffer, buffer.count)
    if count == -Int(EOPNOTSUPP) { return [] }
    guard count >= 0 else { throw Failure(description: "listxattr \(text(path)): errno \(-count)") }
    let names = buffer.prefix(count).map { UInt8(bitPattern: $0) }.split(separator: 0).map { Array($0) }
    return try names.sorted(by: precedes).map { attribute in
      var value = [UInt8](repeating: 0, count: 65_536)
      let count = unsafe cl_attribute_value(directory, name, cString(attribute), &value, value.count)
      guard count >= 0 else { throw Failure(description: "getxattr \(text(path)): errno \(-count)") }
      return (attribute, Array(value.prefix(count)))
    }
  }

  private static func names(_ place: [CChar], _ path: [UInt8]) throws -> [[UInt8]] {
    guard let stream = unsafe opendir(place) else { throw failure("opendir", path) }
    defer { unsafe closedir(stream) }
    var names: [[UInt8]] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
      if name != Array(".".utf8) && name != Array("..".utf8) { names.append(name) }
    }
    return names
  }

  private static func contents(_ place: [CChar], _ path: [UInt8]) throws -> String {
    let descriptor = unsafe open(place, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    var found: [Range<UInt64>] = []
    var hash = Hash()
    var offset: Int64 = 0
    while true {
      offset = cl_seek_data(descriptor, UInt64(offset))
      if offset == -Int64(ENXIO) { break }
      let end = cl_seek_hole(descriptor, UInt64(max(0, offset)))
      guard offset >= 0, end > offset else { throw failure("lseek", path) }
      found.append(UInt64(offset)..<UInt64(end))
      while offset < end {
        var bytes = [UInt8](repeating: 0, count: Int(min(1 << 20, end - offset)))
        let count = unsafe pread(descriptor, &bytes, bytes.count, Int(offset))
        guard count > 0 else { throw failure("read", path) }
        hash.add(Array(bytes.prefix(count)))
        offset += Int64(count)
      }
    }
    return ranges(found, hash)
  }
}
