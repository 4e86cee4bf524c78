package import Ext2
internal import Ext2Format

/// One file of a tree on a volume.
package struct VolumeNode: Sendable {
  /// From the volume's root.
  package let path: [UInt8]
  /// The last name of the path; what the walk began with has the name that its path ends with, if any.
  package let name: [UInt8]
  /// 0 for what the walk began with.
  package let depth: Int
  /// What is known of it; a symbolic link is not followed.
  package let status: FileStatus
}

/// A step of a walk.
package enum VolumeVisit: Sendable {
  /// Anything but a directory.
  case file(VolumeNode)
  /// A directory, before what is in it.
  case enter(VolumeNode)
  /// The same directory, after it.
  case leave(VolumeNode)
}

/// Walks through a tree on a volume, names in the order of their bytes, no symbolic link followed.
///
/// A damaged volume may have a directory under two names, or below itself: the second time is an error, so that every walk
/// ends. Holds the names of one directory a level, and four bytes a directory seen.
package struct VolumeWalk {
  private struct Level {
    let node: VolumeNode
    /// Last first.
    var names: [[UInt8]]
  }
  private let volume: Volume
  private var start: VolumeNode?
  private var levels: [Level] = []
  private var seen: Set<UInt32> = []
  /// A directory that was announced and whose names are not read yet.
  private var entered: VolumeNode?
  /// Leave this directory out after it was entered: `leave` comes next.
  private var skips = false

  /// - Parameter followsLink: what to do about a symbolic link at the end of `path`.
  package init(_ volume: Volume, from path: [UInt8], followsLink: Bool = false) async throws(TreeError) {
    self.volume = volume
    let status = try await at(path) { () async throws(Ext2Error) in
      try await volume.status(of: path, followsLink: followsLink)
    }
    start = VolumeNode(path: path, name: path.lastName, depth: 0, status: status)
  }

  /// Whether what it begins with, if it has not begun, is a directory.
  var beginsWithDirectory: Bool { start?.status.type == .directory }

  /// The next step; nil at the end. After an error the walk can go on: it has left out what the error is about.
  package mutating func next() async throws(TreeError) -> VolumeVisit? {
    if let node = start.take() { return try visit(node) }
    if let node = entered.take() {
      levels.append(Level(node: node, names: []))
      if !skips {
        let volume = volume
        let entries = try await at(node.path) { () async throws(Ext2Error) in try await volume.entries(of: node.path) }
        levels[levels.count - 1].names = entries.map(\.name)
          .filter { $0 != Array(".".utf8) && $0 != Array("..".utf8) }
          .sorted { $1.lexicographicallyPrecedes($0) }
      }
      skips = false
    }
    guard !levels.isEmpty else { return nil }
    // In its place: whoever holds the level while it changes copies all its names for each of them.
    let top = levels.count - 1
    guard let name = levels[top].names.popLast() else { return .leave(levels.removeLast().node) }
    let path = levels[top].node.path.appending(name)
    let volume = volume
    let status = try await at(path) { () async throws(Ext2Error) in
      try await volume.status(of: path, followsLink: false)
    }
    return try visit(VolumeNode(path: path, name: name, depth: levels.count, status: status))
  }

  /// Leaves out what is in the directory that was entered last.
  package mutating func skipContents() { skips = entered != nil }

  private mutating func visit(_ node: VolumeNode) throws(TreeError) -> VolumeVisit {
    guard node.status.type == .directory else { return .file(node) }
    guard seen.insert(node.status.inode).inserted else {
      throw TreeError(node.path, .unfit("the volume is damaged: this directory has another name, too"))
    }
    entered = node
    return .enter(node)
  }
}

extension [UInt8] {
  /// The path of a name in the directory that this path leads to.
  package func appending(_ name: [UInt8]) -> [UInt8] {
    last == UInt8(ascii: "/") ? self + name : self + [UInt8(ascii: "/")] + name
  }

  /// The last name of a path, whatever slashes follow it; empty for the root.
  package var lastName: [UInt8] {
    Array(split(separator: UInt8(ascii: "/")).last ?? [])
  }

  /// The path of a directory, also if it ends with a symbolic link to one that somebody named.
  var followingLink: [UInt8] { self + [UInt8(ascii: "/")] }

  /// The path of the directory that holds the last name.
  package var parentPath: [UInt8] {
    let slash = UInt8(ascii: "/")
    guard let end = lastIndex(where: { $0 != slash }) else { return [slash] }
    guard let cut = self[...end].lastIndex(of: slash) else { return [slash] }
    return cut == 0 ? [slash] : Array(self[..<cut])
  }
}
