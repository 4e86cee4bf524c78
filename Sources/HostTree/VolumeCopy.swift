// From one place of a volume to another.
package import Ext2
internal import Ext2Format

/// Copies files and trees within a mounted volume, holes left out (cp).
package final class VolumeCopy {
  private let volume: Volume
  private let placement: Placement
  private let control: TreeControl
  /// Owners, times and hard links as well; else a copy belongs to the caller (cp -a).
  private let keepsStatus: Bool
  private var firstNames: [UInt32: [UInt8]] = [:]

  package init(
    on volume: Volume, as credentials: Credentials, keepsStatus: Bool, _ control: TreeControl
  ) {
    self.volume = volume
    placement = Placement(volume: volume, credentials: credentials)
    self.control = control
    self.keepsStatus = keepsStatus
  }

  /// Copies what is at a path to another path. What is there already is replaced, but directories are merged.
  ///
  /// - Parameters:
  ///   - isRecursive: directories, too, and links and device files as such; else regular files only.
  ///   - followsLink: of a symbolic link at `path` its target is copied.
  package func run(
    from path: [UInt8], to target: [UInt8], isRecursive: Bool, followsLink: Bool
  ) async throws(TreeError) {
    var walk = try await VolumeWalk(volume, from: path, followsLink: followsLink)
    // A link is written through, as a shell's > does.
    let target = isRecursive ? target : try await volume.followed(target)
    while true {
      try control.checkStop()
      do throws(TreeError) {
        guard let visit = try await walk.next() else { return }
        try await take(visit, path, target, isRecursive, &walk)
      } catch { try control.note(error) }
    }
  }

  private func take(
    _ visit: VolumeVisit, _ path: [UInt8], _ target: [UInt8], _ isRecursive: Bool, _ walk: inout VolumeWalk
  ) async throws(TreeError) {
    func place(_ node: VolumeNode) -> [UInt8] {
      if node.depth == 0 { return target }
      let rest = Array(node.path[path.count...].drop { $0 == UInt8(ascii: "/") })
      return target.appending(rest)
    }
    switch visit {
    case .enter(let node):
      guard isRecursive else {
        walk.skipContents()
        throw TreeError(node.path, .volume(.isADirectory("")))
      }
      do throws(TreeError) {
        if node.depth == 0 { try await checkIsOutside(node, target) }
        try await makeDirectory(place(node), like: node.status)
      } catch {
        walk.skipContents()
        throw error
      }
    case .leave(let node):
      guard isRecursive else { return }
      try await finish(place(node), node)
    case .file(let node):
      try await copyFile(node, to: place(node), isRecursive)
    }
  }

  private func makeDirectory(_ path: [UInt8], like status: FileStatus) async throws(TreeError) {
    do throws(Ext2Error) {
      try await volume.makeDirectory(path, permissions: status.permissions, as: placement.credentials)
    } catch {
      guard case .exists = error else { throw TreeError(path, .volume(error)) }
      let old = try await at(path) { () async throws(Ext2Error) in try await volume.status(of: path) }
      if old.type != .directory { throw TreeError(path, .volume(.notADirectory(""))) }
    }
  }

  private func copyFile(_ node: VolumeNode, to path: [UInt8], _ isRecursive: Bool) async throws(TreeError) {
    let status = node.status
    if let old = try? await volume.status(of: path, followsLink: false), old.inode == status.inode {
      throw TreeError(node.path, .unfit("is the same file as \(ShellWords.quotedIfNeeded(path))"))
    }
    if keepsStatus, status.linkCount > 1 {
      if let first = firstNames[status.inode] {
        try await placement.placeNode(path) { name async throws(Ext2Error) in try await volume.link(first, to: name) }
        control.noteName()
        return
      }
      firstNames[status.inode] = path
    }
    switch status.type {
    case .regular:
      let source = try await at(node.path) { () async throws(Ext2Error) in try await volume.open(node.path) }
      do throws(TreeError) {
        try await placement.placeFile(path) { file, place async throws(TreeError) in
          try await copy(source, status, node.path, to: file, path, control)
          if keepsStatus {
            // Without the flags: it has to move to its name yet, which an immutable file cannot.
            return try await setStatus(of: place, node)
          }
          let changes = StatusChanges(permissions: status.permissions & 0o777)
          try await at(path) { () async throws(Ext2Error) in try await file.change(changes) }
        }
      } catch {
        await source.close()
        throw error
      }
      await source.close()
      if keepsStatus { try await setFlags(of: path, status) }
      control.noteName()
    case _ where !isRecursive: throw TreeError(node.path, .volume(.notARegularFile("")))
    case .symbolicLink:
      let target = try await at(node.path) { () async throws(Ext2Error) in
        try await volume.symbolicLinkTarget(node.path)
      }
      try await placement.placeNode(path) { name async throws(Ext2Error) in
        try await volume.makeSymbolicLink(name, to: target, as: placement.credentials)
      }
      try await finish(path, node)
    default:
      let device = status.device ?? DeviceNumber(major: 0, minor: 0)
      try await placement.placeNode(path) { name async throws(Ext2Error) in
        try await volume.makeNode(
          name, status.type, device: device, permissions: status.permissions, as: placement.credentials)
      }
      try await finish(path, node)
    }
  }

  /// What a copy takes over once it is there; of directories after everything in them.
  private func finish(_ path: [UInt8], _ node: VolumeNode) async throws(TreeError) {
    if keepsStatus {
      try await setStatus(of: path, node)
      try await setFlags(of: path, node.status)
    }
    control.noteName()
  }

  /// Owner, attributes, permissions and times.
  private func setStatus(of path: [UInt8], _ node: VolumeNode) async throws(TreeError) {
    let isFollowed = node.depth == 0 && node.status.type == .directory
    let attributes = try await volume.attributes(isFollowed ? node.path.followingLink : node.path)
    try await volume.apply(StatusChanges(copying: node.status), attributes, to: path)
  }

  private func setFlags(of path: [UInt8], _ status: FileStatus) async throws(TreeError) {
    if status.flags.isEmpty { return }
    let changes = StatusChanges(flags: status.flags)
    try await at(path) { () async throws(Ext2Error) in try await volume.change(path, changes, followsLink: false) }
  }

  /// A directory cannot be copied into itself: that would never end.
  private func checkIsOutside(_ node: VolumeNode, _ target: [UInt8]) async throws(TreeError) {
    var directory = target.parentPath
    var seen: Set<UInt32> = []
    while true {
      let above = directory
      let status = try await at(above) { () async throws(Ext2Error) in try await volume.status(of: above) }
      if status.inode == node.status.inode {
        throw TreeError(node.path, .unfit("cannot copy a directory into itself"))
      }
      // The root is above itself; on a damaged volume others may be as well.
      guard seen.insert(status.inode).inserted else { return }
      directory = above.appending(Array("..".utf8))
    }
  }
}
