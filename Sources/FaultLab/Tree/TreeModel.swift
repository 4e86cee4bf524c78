// What a tree of files is, in memory and as simply as it can be said: the volume is compared with it.
package import Ext2Format
package import SystemPackage

/// A tree of files as POSIX has it. Confined to whoever has it.
package final class TreeModel {
  /// A file of any type.
  package final class Node {
    package let type: InodeType
    package var permissions: UInt16
    package var user: UInt32 = 0
    package var group: UInt32 = 0
    package var linkCount: Int
    /// The bytes of blocks that are allocated.
    package var blocks: [UInt64: [UInt8]] = [:]
    package var byteCount: UInt64 = 0
    /// Whether an operation that ran out of space has left it unknown how large the file is and what is in it.
    package var isUnknown = false
    package var entries: [[UInt8]: Node] = [:]
    package weak var parent: Node?
    package var target: [UInt8] = []
    package var device = DeviceNumber(major: 0, minor: 0)
    /// The time of the last change of contents, when it was set and nothing has changed since.
    package var modificationTime: (seconds: Int64, nanoseconds: UInt32)?
    init(_ type: InodeType, _ permissions: UInt16) {
      self.type = type
      self.permissions = permissions
      linkCount = type == .directory ? 2 : 1
    }
  }

  package let blockSize: Int
  package let root = Node(.directory, 0o755)

  /// A volume as mke2fs makes it: with lost+found alone.
  package init(blockSize: Int) {
    self.blockSize = blockSize
    let lost = Node(.directory, 0o700)
    lost.parent = root
    root.parent = root
    root.entries[Array("lost+found".utf8)] = lost
    root.linkCount = 3
  }

  // MARK: Paths

  private func names(_ path: [UInt8]) -> [[UInt8]] { path.split(separator: 0x2F).map(Array.init) }

  /// The directory and the last name of a path, links on the way followed.
  private func parent(of path: [UInt8]) throws(Errno) -> (Node, [UInt8]) {
    var names = names(path)
    guard let last = names.popLast() else { return (root, Array(".".utf8)) }
    var links = 0
    let directory = try walk(from: root, names, &links)
    guard directory.type == .directory else { throw .notDirectory }
    guard last.count <= 255 else { throw .fileNameTooLong }
    return (directory, last)
  }

  private func walk(from start: Node, _ names: [[UInt8]], _ links: inout Int) throws(Errno) -> Node {
    var node = start
    for name in names {
      guard node.type == .directory else { throw .notDirectory }
      if name == Array(".".utf8) { continue }
      if name == Array("..".utf8) {
        node = node.parent ?? root
        continue
      }
      guard name.count <= 255 else { throw .fileNameTooLong }
      guard let next = node.entries[name] else { throw .noSuchFileOrDirectory }
      node = next.type == .symbolicLink ? try follow(next, from: node, &links) : next
    }
    return node
  }

  private func follow(_ link: Node, from directory: Node, _ links: inout Int) throws(Errno) -> Node {
    links += 1
    guard links <= 40 else { throw .tooManySymbolicLinkLevels }
    let start = link.target.first == 0x2F ? root : directory
    return try walk(from: start, self.names(link.target), &links)
  }

  /// What is at a path.
  package func node(at path: [UInt8], follows: Bool) throws(Errno) -> Node {
    let (directory, name) = try parent(of: path)
    if name == Array(".".utf8) { return directory }
    if name == Array("..".utf8) { return directory.parent ?? root }
    guard let node = directory.entries[name] else { throw .noSuchFileOrDirectory }
    if node.type == .symbolicLink && follows {
      var links = 0
      return try follow(node, from: directory, &links)
    }
    return node
  }

  private func file(at path: [UInt8]) throws(Errno) -> Node {
    let node = try node(at: path, follows: true)
    if node.type == .directory { throw .isDirectory }
    guard node.type == .regular else { throw .invalidArgument }
    return node
  }

  private static func isDots(_ name: [UInt8]) -> Bool { name == Array(".".utf8) || name == Array("..".utf8) }

  // MARK: Operations

  /// What an operation does, or the error it ends with. Running out of space is for the caller to tell: see `applyShort`.
  package func apply(_ operation: TreeOperation) throws(Errno) {
    switch operation {
    case .makeFile(let path, let permissions): try enter(Node(.regular, permissions), at: path)
    case .makeDirectory(let path, let permissions): try enter(Node(.directory, permissions), at: path)
    case .makeSymbolicLink(let path, let target):
      let node = Node(.symbolicLink, 0o777)
      node.target = target
      node.byteCount = UInt64(target.count)
      guard target.count < blockSize else { throw .fileNameTooLong }
      try enter(node, at: path)
    case .makeNode(let path, let type, let major, let minor):
      let node = Node(type, 0o644)
      node.device = DeviceNumber(major: major, minor: minor)
      try enter(node, at: path)
    case .link(let path, let newPath):
      let node = try node(at: path, follows: false)
      if node.type == .directory { throw .notPermitted }
      try enter(node, at: newPath, isNew: false)
      node.linkCount += 1
    case .unlink(let path):
      let (directory, name) = try parent(of: path)
      if Self.isDots(name) { throw .isDirectory }
      guard let node = directory.entries[name] else { throw .noSuchFileOrDirectory }
      if node.type == .directory { throw .isDirectory }
      remove(name, from: directory)
    case .removeDirectory(let path):
      let (directory, name) = try parent(of: path)
      if name == Array(".".utf8) { throw .invalidArgument }
      if name == Array("..".utf8) { throw .directoryNotEmpty }
      guard let node = directory.entries[name] else { throw .noSuchFileOrDirectory }
      if node.type != .directory { throw .notDirectory }
      guard node.entries.isEmpty else { throw .directoryNotEmpty }
      remove(name, from: directory)
    case .rename(let path, let newPath, let noReplace): try rename(path, newPath, noReplace)
    case .write(let path, let offset, let count, let stamp):
      let node = try file(at: path)
      // A write that begins below the limit is cut by it.
      try checkSize(offset + 1)
      write(
        Array(Self.bytes(stamp, count).prefix(Int(clamping: largestFile - offset))), at: offset, to: node)
    case .truncate(let path, let size):
      let node = try file(at: path)
      try checkSize(size)
      truncate(node, size)
    case .punch(let path, let range): punch(try file(at: path), range)
    case .zero(let path, let range, let keepSize):
      let node = try file(at: path)
      let end = keepSize ? min(range.upperBound, node.byteCount) : range.upperBound
      try checkSize(end)
      if range.lowerBound < end {
        write([UInt8](repeating: 0, count: Int(end - range.lowerBound)), at: range.lowerBound, to: node)
      }
    case .allocate(let path, let range):
      let node = try file(at: path)
      try checkSize(range.upperBound)
      allocate(node, range)
    case .changeMode(let path, let permissions):
      let node = try node(at: path, follows: true)
      node.permissions = permissions
    case .changeOwner(let path, let user, let group):
      let node = try node(at: path, follows: true)
      (node.user, node.group) = (user, group)
      if node.type == .regular {
        node.permissions &= ~0o4000
        if node.permissions & 0o010 != 0 { node.permissions &= ~0o2000 }
      }
    case .setTimes(let path, let seconds, let nanoseconds):
      try node(at: path, follows: true).modificationTime = (seconds, nanoseconds)
    case .synchronizeFile(let path): _ = try node(at: path, follows: true)
    case .synchronize, .remount: break
    }
  }

  /// What a write leaves that ended after `count` bytes for want of space.
  package func applyShort(_ operation: TreeOperation, count: Int) throws(Errno) {
    guard case .write(let path, let offset, _, let stamp) = operation else { return }
    if count > 0 { write(Array(Self.bytes(stamp, count)), at: offset, to: try file(at: path)) }
  }

  /// Bytes that a stamp determines: no two stamps and no two neighbouring blocks look alike.
  package static func bytes(_ stamp: UInt8, _ count: Int) -> [UInt8] {
    (0..<count).map { index in
      UInt8(truncatingIfNeeded: Int(stamp) &* 37 &+ (index / 64) &* 11 &+ index >> 14 &+ index) | 1
    }
  }

  private func enter(_ node: Node, at path: [UInt8], isNew: Bool = true) throws(Errno) {
    let (directory, name) = try parent(of: path)
    guard !Self.isDots(name), directory.entries[name] == nil else { throw .fileExists }
    if node.type == .directory {
      guard directory.linkCount < 32000 else { throw .tooManyLinks }
      node.parent = directory
      directory.linkCount += 1
    }
    if isNew && directory.permissions & 0o2000 != 0 {
      node.group = directory.group
      if node.type == .directory { node.permissions |= 0o2000 }
    }
    directory.entries[name] = node
    directory.modificationTime = nil
  }

  private func remove(_ name: [UInt8], from directory: Node) {
    guard let node = directory.entries.removeValue(forKey: name) else { return }
    node.linkCount -= 1
    if node.type == .directory { directory.linkCount -= 1 }
    directory.modificationTime = nil
  }

  private func rename(_ path: [UInt8], _ newPath: [UInt8], _ noReplace: Bool) throws(Errno) {
    let (from, name) = try parent(of: path), (to, newName) = try parent(of: newPath)
    if Self.isDots(name) || Self.isDots(newName) { throw .resourceBusy }
    guard let node = from.entries[name] else { throw .noSuchFileOrDirectory }
    if node.type == .directory && isAbove(node, to) { throw .invalidArgument }
    let replaced = to.entries[newName]
    if replaced != nil && noReplace { throw .fileExists }
    if replaced === node { return }
    if let replaced {
      if node.type == .directory && replaced.type != .directory { throw .notDirectory }
      if node.type != .directory && replaced.type == .directory { throw .isDirectory }
      if replaced.type == .directory && (!replaced.entries.isEmpty || isAbove(replaced, from)) {
        throw .directoryNotEmpty
      }
      remove(newName, from: to)
    }
    from.entries[name] = nil
    to.entries[newName] = node
    if node.type == .directory {
      from.linkCount -= 1
      to.linkCount += 1
      if from !== to { node.modificationTime = nil }
      node.parent = to
    }
    from.modificationTime = nil
    to.modificationTime = nil
  }

  private func isAbove(_ node: Node, _ other: Node) -> Bool {
    var current = other
    while current !== root {
      if current === node { return true }
      current = current.parent ?? root
    }
    return node === root
  }

  // MARK: Data

  private var largestFile: UInt64 { BlockPath.maximumFileSize(blockSizeLog2: blockSize.trailingZeroBitCount) }
  private func checkSize(_ size: UInt64) throws(Errno) {
    if size > largestFile { throw .fileTooLarge }
  }

  private func write(_ bytes: [UInt8], at offset: UInt64, to node: Node) {
    let size = UInt64(blockSize)
    var done = 0
    while done < bytes.count {
      let position = offset + UInt64(done)
      let inBlock = Int(position % size)
      let length = min(blockSize - inBlock, bytes.count - done)
      var block = node.blocks[position / size] ?? [UInt8](repeating: 0, count: blockSize)
      block.replaceSubrange(inBlock..<inBlock + length, with: bytes[done..<done + length])
      node.blocks[position / size] = block
      done += length
    }
    if !bytes.isEmpty {
      node.byteCount = max(node.byteCount, offset + UInt64(bytes.count))
      node.modificationTime = nil
    }
  }

  private func truncate(_ node: Node, _ size: UInt64) {
    if size < node.byteCount {
      let end = (size + UInt64(blockSize) - 1) / UInt64(blockSize)
      node.blocks = node.blocks.filter { $0.key < end }
      clear(node, size..<end * UInt64(blockSize))
    }
    node.byteCount = size
    node.modificationTime = nil
  }

  private func punch(_ node: Node, _ range: Range<UInt64>) {
    let size = UInt64(blockSize)
    // The last block goes whole when the range reaches to the end of the file.
    let end = min(range.upperBound, (node.byteCount + size - 1) / size * size)
    guard range.lowerBound < end else { return }
    let first = (range.lowerBound + size - 1) / size
    node.blocks = node.blocks.filter { $0.key < first || $0.key >= end / size }
    clear(node, range.lowerBound..<end)
    node.modificationTime = nil
  }

  private func clear(_ node: Node, _ range: Range<UInt64>) {
    let size = UInt64(blockSize)
    for edge in Set([range.lowerBound / size, range.upperBound / size]) {
      guard var block = node.blocks[edge] else { continue }
      let start = max(range.lowerBound, edge * size), end = min(range.upperBound, (edge + 1) * size)
      guard start < end else { continue }
      for byte in Int(start - edge * size)..<Int(end - edge * size) { block[byte] = 0 }
      node.blocks[edge] = block
    }
  }

  private func allocate(_ node: Node, _ range: Range<UInt64>) {
    let size = UInt64(blockSize)
    for index in range.lowerBound / size...(range.upperBound - 1) / size where node.blocks[index] == nil {
      node.blocks[index] = [UInt8](repeating: 0, count: blockSize)
      node.modificationTime = nil
    }
    if range.upperBound > node.byteCount {
      node.byteCount = range.upperBound
      node.modificationTime = nil
    }
  }
}
