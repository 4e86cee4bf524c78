// From this machine to a volume.
//
//   names of a directory, sorted ─> each: make it on the volume ─> contents in pieces ─> owner, permissions, times
//                                                                  directories: after what is in them
package import Ext2
internal import Ext2Format
package import Reactor

/// Copies trees of files from this machine to a mounted volume: contents with their holes, types, owners, permissions,
/// times to the nanosecond, hard links.
///
/// A name that is there already is replaced, but for directories, which are merged (as `cp -a SOURCE/. TARGET` and tar).
/// Holds one open directory and the names in it a level, and the path of each file that has several names.
package final class TreeImport {
  private let volume: Volume
  private let placement: Placement
  private let control: TreeControl
  /// The image that the volume is in: it cannot contain itself.
  private let image: HostIdentity?
  /// When all files were accessed: the copy itself is an access, so that the second copy of a tree would not be the first
  /// one's equal. Nil for what their own file systems say.
  private let accessTime: CalendarTime?
  /// Files with several names, and the first of them.
  private var firstNames: [HostIdentity: [UInt8]] = [:]

  /// - Parameter credentials: who takes the blocks; owners are those of the files.
  package init(
    to volume: Volume, as credentials: Credentials, image: HostIdentity?, accessTime: CalendarTime?,
    _ control: TreeControl
  ) {
    self.volume = volume
    placement = Placement(volume: volume, credentials: credentials)
    self.control = control
    self.image = image
    self.accessTime = accessTime
  }

  /// Copies the contents of a directory of this machine into a directory of the volume, which is made if it is missing, and
  /// whose owner, permissions and times become those of the source.
  package func run(from source: [UInt8], to path: [UInt8]) async throws(TreeError) {
    let directory = try HostDirectory.open(source)
    try await makeDirectories(path)
    try await importContents(of: directory, to: path)
    try await finish(directory, [], try directory.node([]), path)
  }

  /// Copies one file of this machine to a path of the volume (`put`). Owner and permissions are those of what it replaces,
  /// else the caller's and the source's.
  package func putFile(_ source: HostSource, to path: [UInt8], keepsStatus: Bool) async throws(TreeError) {
    let old = try? await volume.status(of: path)
    // A link is written through, as a shell's > does.
    let path = try await volume.followed(path)
    let node = try source.file.node()
    if node.type == .directory { throw TreeError(source.file.path, .unfit("is a directory (import copies those)")) }
    if node.identity == image { throw TreeError(source.file.path, .unfit("is the image itself")) }
    try await placement.placeFile(path) { file, name async throws(TreeError) in
      if node.type == .regular {
        try await copy(source.file, to: file, path, control)
      } else {
        try await source.copyStream(to: file, path, control)
      }
      if keepsStatus {
        let attributes = try control.attributes(names: source.file.attributeNames()) { name throws(TreeError) in
          try source.file.attribute(name)
        }
        return try await volume.apply(StatusChanges(copying: node, accessTime: accessTime), attributes, to: name)
      }
      let changes = StatusChanges(
        permissions: old?.permissions ?? (node.type == .regular ? node.permissions & 0o777 : 0o644), user: old?.user,
        group: old?.group)
      try await at(path) { () async throws(Ext2Error) in try await file.change(changes) }
    }
    control.noteName()
  }

  // MARK: Directories

  private func makeDirectories(_ path: [UInt8]) async throws(TreeError) {
    var prefix: [UInt8] = [UInt8(ascii: "/")]
    for name in path.split(separator: UInt8(ascii: "/")) {
      prefix = prefix.appending(Array(name))
      try await makeDirectory(prefix, followsLink: true)
    }
  }

  /// Makes a directory unless there is one.
  private func makeDirectory(_ path: [UInt8], followsLink: Bool) async throws(TreeError) {
    do throws(Ext2Error) {
      try await volume.makeDirectory(path, permissions: 0o755, as: placement.credentials)
    } catch {
      guard case .exists = error else { throw TreeError(path, .volume(error)) }
      let status = try await at(path) { () async throws(Ext2Error) in
        try await volume.status(of: path, followsLink: followsLink)
      }
      if status.type != .directory { throw TreeError(path, .volume(.notADirectory(""))) }
    }
  }

  private func importContents(of directory: HostDirectory, to path: [UInt8]) async throws(TreeError) {
    let names: [[UInt8]]
    do { names = try directory.names() } catch { return try control.note(error) }
    for name in names {
      try control.checkStop()
      try await control.attempt { () async throws(TreeError) in
        try await importName(name, in: directory, to: path.appending(name))
      }
    }
  }

  // MARK: One name

  private func importName(_ name: [UInt8], in directory: HostDirectory, to path: [UInt8]) async throws(TreeError) {
    let node = try directory.node(name)
    let source = directory.path(of: name)
    guard let type = node.type else { throw TreeError(source, .unfit("a type of file that ext2 does not have")) }
    if node.identity == image { throw TreeError(source, .unfit("is the image itself")) }
    if type == .directory {
      let inner = try directory.directory(name)
      try await makeDirectory(path, followsLink: false)
      try await importContents(of: inner, to: path)
      // Again, for what was swapped for something else meanwhile is not what was opened.
      try await finish(inner, [], try inner.node([]), path)
      return
    }
    if node.linkCount > 1 {
      if let first = firstNames[node.identity] {
        try await placement.placeNode(path) { name async throws(Ext2Error) in try await volume.link(first, to: name) }
        control.noteName()
        return
      }
    }
    switch type {
    case .regular: try await importFile(name, node, in: directory, to: path)
    case .symbolicLink:
      let target = try directory.linkTarget(name)
      try await placement.placeNode(path) { name async throws(Ext2Error) in
        try await volume.makeSymbolicLink(name, to: target, as: placement.credentials)
      }
      try await finish(directory, name, node, path)
    default:
      let device = DeviceNumber(major: node.deviceMajor, minor: node.deviceMinor)
      try await placement.placeNode(path) { name async throws(Ext2Error) in
        try await volume.makeNode(name, type, device: device, permissions: 0o600, as: placement.credentials)
      }
      try await finish(directory, name, node, path)
    }
    if node.linkCount > 1 { firstNames[node.identity] = path }
  }

  private func importFile(
    _ name: [UInt8], _ node: HostNode, in directory: HostDirectory, to path: [UInt8]
  ) async throws(TreeError) {
    let source = try directory.file(name)
    guard try source.node().identity == node.identity else {
      throw TreeError(source.path, .unfit("the file changed while it was read"))
    }
    try await placement.placeFile(path) { file, place async throws(TreeError) in
      try await copy(source, to: file, path, control)
      let attributes = try control.attributes(names: source.attributeNames()) { attribute throws(TreeError) in
        try source.attribute(attribute)
      }
      try await volume.apply(StatusChanges(copying: node, accessTime: accessTime), attributes, to: place)
    }
    control.noteName()
  }

  /// Owner, attributes, permissions and times of what is no regular file; of directories after everything in them.
  private func finish(
    _ directory: HostDirectory, _ name: [UInt8], _ node: HostNode, _ path: [UInt8]
  ) async throws(TreeError) {
    let attributes = try control.attributes(names: directory.attributeNames(name)) { attribute throws(TreeError) in
      try directory.attribute(attribute, of: name)
    }
    try await volume.apply(
      StatusChanges(copying: node, accessTime: accessTime), attributes,
      to: node.type == .directory ? path.followingLink : path)
    control.noteName()
  }
}
