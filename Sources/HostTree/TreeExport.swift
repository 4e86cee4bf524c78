// From a volume to a directory of this machine.
package import Ext2
internal import Ext2Format

/// Copies trees of files from a mounted volume to this machine: contents with their holes, types, owners, permissions,
/// times to the nanosecond, hard links.
///
/// What is in the target stays, but for names that the volume has too: directories are merged, anything else is replaced
/// (as `cp -a SOURCE/. TARGET` and tar). No symbolic link inside the target is followed. The empty lost+found that
/// every volume has in its root is left out.
package final class TreeExport {
  private let volume: Volume
  private let control: TreeControl
  /// The directories on the way to where the walk is, each with what the volume says of it.
  private var open: [(directory: HostDirectory, name: [UInt8])] = []
  /// Files with several names, and where the first of them is, from the target on.
  private var firstNames: [UInt32: [[UInt8]]] = [:]

  package init(from volume: Volume, _ control: TreeControl) {
    self.volume = volume
    self.control = control
  }

  /// Copies the contents of a directory of the volume into a directory of this machine, which is made if it is missing, and
  /// whose owner, permissions and times become those of the source.
  package func run(from path: [UInt8], to target: [UInt8]) async throws(TreeError) {
    var walk = try await VolumeWalk(volume, from: path, followsLink: true)
    guard walk.beginsWithDirectory else { throw TreeError(path, .volume(.notADirectory(""))) }
    let root = try HostDirectory.make(target)
    while true {
      try control.checkStop()
      do throws(TreeError) {
        guard let visit = try await walk.next() else { return }
        try await take(visit, &walk, root)
      } catch { try control.note(error) }
    }
  }

  /// Copies the file at a path of the volume to a path of this machine (`get`).
  package func getFile(
    _ path: [UInt8], to target: [UInt8], image: HostIdentity?, keepsStatus: Bool
  ) async throws(TreeError) {
    if let image, HostIdentity(ofPath: target) == image {
      throw TreeError(target, .unfit("is the image itself"))
    }
    let file = try await at(path) { () async throws(Ext2Error) in try await volume.open(path) }
    do throws(TreeError) {
      let status = try await at(path) { () async throws(Ext2Error) in try await file.status() }
      let (output, isNew) = try HostFile.openForWriting(target, permissions: status.permissions & 0o777)
      do throws(TreeError) {
        try await copy(file, status, path, to: output, control)
        if keepsStatus { try output.setStatus(status, control) }
      } catch {
        if isNew { HostFile.removeQuietly(target) }
        throw error
      }
    } catch {
      await file.close()
      throw error
    }
    await file.close()
    control.noteName()
  }

  private func take(_ visit: VolumeVisit, _ walk: inout VolumeWalk, _ root: HostDirectory) async throws(TreeError) {
    switch visit {
    case .enter(let node) where node.depth == 0:
      open = [(root, [])]
    case .enter(let node):
      if try await node.isEmptyLostAndFound(volume) { return walk.skipContents() }
      do throws(TreeError) {
        open.append((try open[open.count - 1].directory.makeDirectory(node.name), node.name))
      } catch {
        walk.skipContents()
        throw error
      }
    case .leave(let node):
      // One that could not be made was not opened.
      guard open.count == node.depth + 1, open[node.depth].name == node.name || node.depth == 0 else { return }
      let (directory, _) = open.removeLast()
      try await finish(directory, [], node)
    case .file(let node):
      try await export(node, into: open[open.count - 1].directory, root)
    }
  }

  private func export(
    _ node: VolumeNode, into directory: HostDirectory, _ root: HostDirectory
  ) async throws(TreeError) {
    let status = node.status
    try directory.remove(node.name)
    if status.linkCount > 1 {
      if let first = firstNames[status.inode] {
        try root.descend(first.dropLast()).link(first.last ?? [], to: directory, node.name)
        control.noteName()
        return
      }
    }
    switch status.type {
    case .regular: try await exportFile(node, into: directory)
    case .symbolicLink:
      let target = try await at(node.path) { () async throws(Ext2Error) in
        try await volume.symbolicLinkTarget(node.path)
      }
      try directory.makeLink(node.name, target: target)
      try await finish(directory, node.name, node)
    default:
      try directory.makeNode(node.name, status.type, device: status.device)
      try await finish(directory, node.name, node)
    }
    if status.linkCount > 1 { firstNames[status.inode] = open.dropFirst().map(\.name) + [node.name] }
  }

  private func exportFile(_ node: VolumeNode, into directory: HostDirectory) async throws(TreeError) {
    let target = try directory.makeFile(node.name)
    do throws(TreeError) {
      let file = try await at(node.path) { () async throws(Ext2Error) in
        try await volume.open(node.path, .noFollow)
      }
      do throws(TreeError) {
        try await copy(file, node.status, node.path, to: target, control)
      } catch {
        await file.close()
        throw error
      }
      await file.close()
    } catch {
      // Nothing half done: a file that is not whole would look like one that is.
      try directory.remove(node.name)
      throw error
    }
    try await finish(directory, node.name, node)
  }

  /// Owner, attributes, permissions and times, in this order: a change of owner takes set-id bits and capabilities away, and
  /// the permissions are part of an ACL.
  private func finish(_ directory: HostDirectory, _ name: [UInt8], _ node: VolumeNode) async throws(TreeError) {
    let status = node.status
    if try !directory.setOwner(name, user: status.user, group: status.group) {
      control.warnOnce("not the superuser: files get the caller's owner and group")
    }
    let attributes = try await volume.attributes(node.depth == 0 ? node.path.followingLink : node.path)
    try directory.setAttributes(attributes, of: name, control)
    if status.type != .symbolicLink { try directory.setPermissions(name, status.permissions) }
    try directory.setTimes(name, access: status.accessTime, modification: status.modificationTime)
    control.noteName()
  }
}

extension VolumeNode {
  /// Whether this is the directory that mke2fs puts into the root for e2fsck, and e2fsck has put nothing there.
  func isEmptyLostAndFound(_ volume: Volume) async throws(TreeError) -> Bool {
    guard depth == 1, path == Array("/lost+found".utf8), status.type == .directory else { return false }
    return try await at(path) { () async throws(Ext2Error) in try await volume.entries(of: path, limit: 3) }.count <= 2
  }
}
