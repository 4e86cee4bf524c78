// From a volume to a stream in tar's pax format. A writer of our own: what is needed is one format in one direction, two
// files of code, against a library that reads and writes thirty and that every user would have to install.
package import Ext2
internal import Ext2Format
internal import Glibc
package import SystemPackage

/// Writes a tree of a mounted volume as a tar stream: contents with their holes (GNU tar's sparse format 1.0), owners,
/// permissions, times to the nanosecond, hard links, device files and fifos. The same tree is the same stream.
///
/// Names begin with "./", as those of `tar -c .`; the empty lost+found of a volume's root is left out. A socket cannot be
/// in a tar archive: it is left out with a warning, as tar does.
package final class TarExport {
  private let volume: Volume
  private let control: TreeControl
  private let output: FileDescriptor
  /// What waits to be written.
  private var buffer: [UInt8] = []
  private var byteCount: UInt64 = 0
  /// Files with several names, and the first of them in the archive.
  private var firstNames: [UInt32: [UInt8]] = [:]
  private static let bufferLimit = 1 << 18

  /// - Parameter output: where the stream goes; it need not be a file.
  package init(from volume: Volume, to output: FileDescriptor, _ control: TreeControl) {
    self.volume = volume
    self.output = output
    self.control = control
  }

  /// Writes what is in a directory of the volume.
  package func run(from path: [UInt8]) async throws(TreeError) {
    var walk = try await VolumeWalk(volume, from: path, followsLink: true)
    guard walk.beginsWithDirectory else { throw TreeError(path, .volume(.notADirectory(""))) }
    let start = path.last == UInt8(ascii: "/") ? path.count - 1 : path.count
    while true {
      try control.checkStop()
      do throws(TreeError) {
        guard let visit = try await walk.next() else { break }
        switch visit {
        case .leave: break
        case .enter(let node):
          if try await node.isEmptyLostAndFound(volume) {
            walk.skipContents()
          } else {
            try await writeMember(
              node, node.depth == 0 ? "./" + [] : "." + Array(node.path[start...]) + "/", .directory)
          }
        case .file(let node):
          try await write(node, "." + Array(node.path[start...]))
        }
      } catch { try control.note(error) }
    }
    // Two blocks of zeroes, and up to a record of twenty blocks (POSIX, pax, -b).
    try write([UInt8](repeating: 0, count: 1024))
    let rest = Int(byteCount % 10240)
    if rest > 0 { try write([UInt8](repeating: 0, count: 10240 - rest)) }
    try flush()
  }

  // MARK: Members

  private func header(
    _ node: VolumeNode, _ name: [UInt8], _ kind: PaxHeader.Kind
  ) async throws(TreeError) -> PaxHeader {
    let status = node.status
    var header = PaxHeader(
      name: name, kind: kind, permissions: status.permissions, user: status.user, group: status.group,
      modificationTime: status.modificationTime, accessTime: status.accessTime, device: status.device)
    for attribute in try await volume.attributes(node.depth == 0 ? node.path.followingLink : node.path) {
      header.records.append(try record(attribute, node))
    }
    return header
  }

  /// An attribute as Schily's tar has it, and after it the others: ACLs as text, and in the names of the rest '=' and '%' as
  /// GNU tar escapes them (src/xheader.c, xattr_encode_keyword).
  private func record(
    _ attribute: Attribute, _ node: VolumeNode
  ) throws(TreeError) -> (key: [UInt8], value: [UInt8]) {
    guard attribute.name == accessListName || attribute.name == defaultListName else {
      let name = attribute.name.flatMap { byte in
        switch byte {
        case UInt8(ascii: "="): Array("%3D".utf8)
        case UInt8(ascii: "%"): Array("%25".utf8)
        default: [byte]
        }
      }
      return (Array("SCHILY.xattr.".utf8) + name, attribute.value)
    }
    do {
      let list = try AccessControlList.decode(transferBytes: attribute.value)
      let text = (list?.entries ?? []).map { "\($0)" }.joined(separator: ",")
      let key = attribute.name == accessListName ? "SCHILY.acl.access" : "SCHILY.acl.default"
      return (Array(key.utf8), Array(text.utf8))
    } catch { throw TreeError(node.path, .unfit("\(error)")) }
  }

  private func writeMember(
    _ node: VolumeNode, _ name: [UInt8], _ kind: PaxHeader.Kind
  ) async throws(TreeError) {
    try write(try await header(node, name, kind).encoded())
    control.noteName()
  }

  private func write(_ node: VolumeNode, _ name: [UInt8]) async throws(TreeError) {
    let status = node.status
    if status.linkCount > 1 {
      if let first = firstNames[status.inode] {
        var link = PaxHeader(
          name: name, kind: .hardLink, permissions: status.permissions, user: status.user, group: status.group,
          modificationTime: status.modificationTime)
        link.linkName = first
        try write(link.encoded())
        control.noteName()
        return
      }
    }
    switch status.type {
    case .regular: try await writeFile(node, name)
    case .symbolicLink:
      var link = try await header(node, name, .symbolicLink)
      link.linkName = try await at(node.path) { () async throws(Ext2Error) in
        try await volume.symbolicLinkTarget(node.path)
      }
      try write(link.encoded())
      control.noteName()
    case .characterDevice: try await writeMember(node, name, .characterDevice)
    case .blockDevice: try await writeMember(node, name, .blockDevice)
    case .fifo: try await writeMember(node, name, .fifo)
    case .socket: return control.warn("\(ShellWords.quotedIfNeeded(node.path)): a socket cannot be in a tar archive")
    case .directory: return
    }
    if status.linkCount > 1 { firstNames[status.inode] = name }
  }

  private func writeFile(_ node: VolumeNode, _ name: [UInt8]) async throws(TreeError) {
    let file = try await at(node.path) { () async throws(Ext2Error) in try await volume.open(node.path, .noFollow) }
    do throws(TreeError) { try await writeContents(of: file, node, name) } catch {
      await file.close()
      throw error
    }
    await file.close()
    control.noteName()
  }

  private func writeContents(of file: File, _ node: VolumeNode, _ name: [UInt8]) async throws(TreeError) {
    let size = node.status.byteCount
    let blockSize = await volume.statistics.blockSize
    let ranges = try await at(node.path) { () async throws(Ext2Error) in
      try await file.dataRanges(byteCount: size, blockSize: blockSize)
    }
    let dataCount = ranges.reduce(0) { $0 + UInt64($1.count) }
    var header = try await header(node, name, .regular)
    header.byteCount = size
    var map: [UInt8] = []
    if dataCount < size {
      // GNU tar manual, "PAX Format, Version 1.0": the map comes before the data, decimal, a number a line.
      var numbers = ranges.flatMap { [$0.lowerBound, UInt64($0.count)] }
      if ranges.last?.upperBound != size { numbers += [size, 0] }
      map = Array("\(numbers.count / 2)\n".utf8) + numbers.flatMap { Array("\($0)\n".utf8) }
      map += PaxHeader.padding(after: UInt64(map.count))
      for (key, value) in [("major", Array("1".utf8)), ("minor", Array("0".utf8)), ("name", name)] {
        header.records.append((Array("GNU.sparse.\(key)".utf8), value))
      }
      header.records.append((Array("GNU.sparse.realsize".utf8), Array("\(size)".utf8)))
      header.name = Array("./GNUSparseFile.0/".utf8) + name.lastName.prefix(80)
      header.byteCount = UInt64(map.count) + dataCount
    }
    try write(header.encoded())
    try write(map)
    // What the header promised must come, or everything after it is lost as well.
    var written: UInt64 = 0
    var failure: TreeError?
    copying: for range in ranges {
      for piece in range.pieces {
        do throws(TreeError) {
          try control.checkStop()
          let bytes = try await at(node.path) { () async throws(Ext2Error) in
            try await file.read(at: piece.lowerBound, count: piece.count)
          }
          try write(bytes)
          written += UInt64(bytes.count)
          control.noteBytes(bytes.count)
          if bytes.count < piece.count {
            throw TreeError(node.path, .unfit("the file became shorter while it was read"))
          }
        } catch {
          failure = error
          break copying
        }
      }
    }
    if let failure, failure.endsEverything { throw failure }
    while written < dataCount {
      let count = Int(min(dataCount - written, UInt64(Self.bufferLimit)))
      try write([UInt8](repeating: 0, count: count))
      written += UInt64(count)
    }
    try write(PaxHeader.padding(after: dataCount))
    if let failure { throw failure }
  }

  // MARK: The stream

  private func write(_ bytes: [UInt8]) throws(TreeError) {
    buffer += bytes
    byteCount += UInt64(bytes.count)
    if buffer.count >= Self.bufferLimit { try flush() }
  }

  private func flush() throws(TreeError) {
    do { try output.writeAll(buffer) } catch {
      throw TreeError("standard output", .output(error as? Errno ?? .ioError))
    }
    buffer.removeAll(keepingCapacity: true)
  }
}

private func + (text: String, bytes: [UInt8]) -> [UInt8] { Array(text.utf8) + bytes }
private func + (bytes: [UInt8], text: String) -> [UInt8] { bytes + Array(text.utf8) }
