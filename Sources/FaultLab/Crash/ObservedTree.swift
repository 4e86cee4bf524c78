// Everything of a mounted volume as its users see it at one moment. What a cut may leave follows from how this changes
// from one operation to the next, so that no model of the operations is needed.
package import Ext2
package import Ext2Format

/// One inode, as its users see it.
package struct ObservedInode: Sendable, Equatable {
  package let type: InodeType
  package let permissions: UInt16
  package let user: UInt32
  package let group: UInt32
  package let generation: UInt32
  /// The bytes of a regular file, or the target of a symbolic link.
  package var contents: [UInt8] = []
  /// The disk block of each block of a regular file; 0: a hole.
  package var blocks: [UInt32] = []
  /// Blocks up to the end of a directory.
  package var directoryBlockCount = 0
  /// What the names of a directory refer to, without "." and "..".
  package var entries: [[UInt8]: UInt32] = [:]
  package var attributes: [[UInt8]: [UInt8]] = [:]
}

extension ObservedInode {
  fileprivate var hash: UInt64 {
    var hash = StableHash(0)
    hash.add(type.rawValue)
    hash.add(permissions)
    hash.add(user)
    hash.add(group)
    hash.add(generation)
    hash.add(contents)
    for block in blocks { hash.add(block) }
    hash.add(directoryBlockCount)
    for (name, target) in entries.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      hash.add(name)
      hash.add(target)
    }
    for (name, value) in attributes.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      hash.add(name)
      hash.add(value)
    }
    return hash.value
  }

  fileprivate mutating func share(with old: ObservedInode) {
    if contents == old.contents { contents = old.contents }
    if blocks == old.blocks { blocks = old.blocks }
    if entries == old.entries { entries = old.entries }
  }
}

/// A tree of files, by inode number.
package struct ObservedTree: Sendable, Equatable {
  package private(set) var inodes: [UInt32: ObservedInode] = [:]
  /// A hash of each: what is alike has the same.
  private(set) var hashes: [UInt32: UInt64] = [:]
  /// A name of each, for people.
  package private(set) var paths: [UInt32: [UInt8]] = [:]

  /// Looks at everything a volume holds. What is as it was in `previous` shares its memory, so that comparing the two is
  /// quick.
  package init(of volume: Volume, blockSize: Int, after previous: ObservedTree? = nil) async throws(Ext2Error) {
    try await add([0x2F], volume, blockSize)
    for (number, inode) in inodes {
      if let previous, let old = previous.inodes[number] {
        inodes[number]?.share(with: old)
        if inode == old {
          hashes[number] = previous.hashes[number]
          continue
        }
      }
      hashes[number] = inode.hash
    }
  }

  /// The inode that a path names, through symbolic links, if it does.
  package func number(at path: [UInt8]) -> UInt32? {
    var way = [InodeNumber.root.rawValue]
    var names = Array(path.split(separator: 0x2F).reversed()), linkCount = 0
    while let name = names.popLast() {
      if name == [0x2E] { continue }
      if name == [0x2E, 0x2E] {
        if way.count > 1 { way.removeLast() }
        continue
      }
      guard let number = inodes[way[way.count - 1]]?.entries[Array(name)], let inode = inodes[number] else {
        return nil
      }
      if inode.type == .symbolicLink {
        linkCount += 1
        if linkCount > 40 { return nil }
        if inode.contents.first == 0x2F { way.removeLast(way.count - 1) }
        names += inode.contents.split(separator: 0x2F).reversed()
      } else {
        way.append(number)
      }
    }
    return way[way.count - 1]
  }

  /// A hash of everything, and of what came before.
  func hash(after previous: UInt64) -> UInt64 {
    var hash = StableHash(previous)
    for (number, inode) in hashes.sorted(by: { $0.key < $1.key }) {
      hash.add(number)
      hash.add(inode)
    }
    return hash.value
  }

  private mutating func add(_ path: [UInt8], _ volume: Volume, _ blockSize: Int) async throws(Ext2Error) {
    let status = try await volume.status(of: path, followsLink: false)
    guard inodes[status.inode] == nil else { return }
    var inode = ObservedInode(
      type: status.type, permissions: status.permissions, user: status.user, group: status.group,
      generation: status.generation)
    for name in try await volume.attributeNames(of: path, followsLink: false) {
      inode.attributes[name] = try await volume.attribute(name, of: path, followsLink: false)
    }
    switch status.type {
    case .symbolicLink: inode.contents = try await volume.symbolicLinkTarget(path)
    case .regular:
      let file = try await volume.open(path, .noFollow)
      inode.contents = try await file.read(at: 0, count: Int(status.byteCount))
      inode.blocks = [UInt32](repeating: 0, count: (inode.contents.count + blockSize - 1) / blockSize)
      for extent in try await file.extents() {
        for index in 0..<extent.count where Int(extent.fileBlock) + index < inode.blocks.count {
          inode.blocks[Int(extent.fileBlock) + index] = UInt32(extent.diskBlock) + UInt32(index)
        }
      }
      await file.close()
    case .directory:
      inode.directoryBlockCount = Int(status.byteCount) / blockSize
      for entry in try await volume.entries(of: path) where ![[0x2E], [0x2E, 0x2E]].contains(entry.name) {
        inode.entries[entry.name] = entry.inode
      }
    default: break
    }
    inodes[status.inode] = inode
    paths[status.inode] = path
    for name in inode.entries.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      try await add((path == [0x2F] ? [] : path) + [0x2F] + name, volume, blockSize)
    }
  }
}
