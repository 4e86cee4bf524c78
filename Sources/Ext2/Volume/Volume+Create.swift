// Open and create.
public import Ext2Format
internal import PageCache
internal import Reactor

/// How a file is opened; the flags of open(2).
public struct OpenOptions: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// Make the file when there is none (O_CREAT).
  public static let create = OpenOptions(rawValue: 1)
  /// With `create`: fail when there is one (O_EXCL).
  public static let exclusive = OpenOptions(rawValue: 2)
  /// Cut it to nothing (O_TRUNC).
  public static let truncate = OpenOptions(rawValue: 4)
  /// A symbolic link at the end of the path is an error (O_NOFOLLOW).
  public static let noFollow = OpenOptions(rawValue: 8)
}

extension Volume {
  /// Opens the regular file at a path from the root. `create` makes it when there is none.
  public nonisolated func open(_ path: some VolumePath, create: Bool = false) async throws(Ext2Error) -> File {
    try await open(path, create ? .create : [])
  }

  /// Opens the regular file at a path from the root.
  ///
  /// - Parameters:
  ///   - permissions: of a file that is made, without those of the umask (see `Credentials`).
  ///   - credentials: on whose behalf: the owner of a file that is made, and who writes through this opening.
  /// - Throws: `notFound`, `exists`, `isADirectory`, `notARegularFile`, `tooManySymbolicLinks`, `noSpace` …
  public nonisolated func open(
    _ path: some VolumePath, _ options: OpenOptions, permissions: UInt16 = 0o644, as credentials: Credentials = .root
  ) async throws(Ext2Error) -> File {
    let bytes = path.volumePathBytes
    let handle = try await reactor.run { () async throws(Ext2Error) in
      try await self.openHere(bytes, options, permissions, credentials)
    }
    return File(volume: self, handle: handle)
  }

  /// Makes a directory.
  public nonisolated func makeDirectory(
    _ path: some VolumePath, permissions: UInt16 = 0o755, as credentials: Credentials = .root
  ) async throws(Ext2Error) {
    try await make(path, .directory, permissions: permissions, as: credentials)
  }

  /// Makes a symbolic link. The target is any 1 to (block size - 1) bytes without a NUL; it need not exist.
  public nonisolated func makeSymbolicLink(
    _ path: some VolumePath, to target: some VolumePath, as credentials: Credentials = .root
  ) async throws(Ext2Error) {
    try await make(path, .symbolicLink, permissions: 0o777, target: target.volumePathBytes, as: credentials)
  }

  /// Makes a fifo, a socket, a device file, or an empty regular file (mknod).
  public nonisolated func makeNode(
    _ path: some VolumePath, _ type: InodeType, device: DeviceNumber = DeviceNumber(major: 0, minor: 0),
    permissions: UInt16 = 0o644, as credentials: Credentials = .root
  ) async throws(Ext2Error) {
    switch type {
    case .directory, .symbolicLink: throw .invalidName("mknod: directories and symbolic links have calls of their own")
    default: try await make(path, type, device: device, permissions: permissions, as: credentials)
    }
  }

  private nonisolated func make(
    _ path: some VolumePath, _ type: InodeType, device: DeviceNumber = DeviceNumber(major: 0, minor: 0),
    permissions: UInt16, target: [UInt8] = [], as credentials: Credentials
  ) async throws(Ext2Error) {
    let bytes = path.volumePathBytes
    try await reactor.run { () async throws(Ext2Error) in
      try await self.makeHere(bytes, type, device, permissions, target, credentials)
    }
  }

  // MARK: On the reactor

  private func openHere(
    _ path: [UInt8], _ options: OpenOptions, _ permissions: UInt16, _ credentials: Credentials
  ) async throws(Ext2Error) -> Int {
    let handle: Int
    if options.contains(.create) {
      handle = try await changing(as: credentials) { ticket async throws(Ext2Error) in
        try await openOrMake(path, options, permissions, credentials, ticket)
      }
    } else {
      handle = try await reading { ticket async throws(Ext2Error) in
        let inode = try await resolve(path, followsLast: !options.contains(.noFollow), ticket)
        return try addOpening(of: inode, String(decoding: path, as: UTF8.self), credentials)
      }
    }
    guard options.contains(.truncate), !core.options.cache.switchedOff.contains(.openTruncates) else { return handle }
    do throws(Ext2Error) { try await truncate(handle, to: 0) } catch {
      closeHandle(handle)
      throw error
    }
    return handle
  }

  private func openOrMake(
    _ path: [UInt8], _ options: OpenOptions, _ permissions: UInt16, _ credentials: Credentials,
    _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Int {
    var position = try await resolveParent(path, ticket)
    defer { core.inodes.release(position.parent) }
    var linkCount = 0
    while true {
      let parent = position.parent
      let opened = try await withLocked(parent, position.text) { directory async throws(Ext2Error) in
        try await lookUpOrMake(position, directory, options, permissions, credentials, ticket)
      }
      guard opened.type == .symbolicLink, !options.contains(.noFollow) else {
        return try addOpening(of: opened, position.text, credentials)
      }
      // A link, perhaps to a name that is to be made.
      defer { core.inodes.release(opened) }
      let next = try await follow(opened, from: parent, position.text, &linkCount, ticket)
      core.inodes.release(position.parent)
      position = next
    }
  }

  private func lookUpOrMake(
    _ position: Position, _ directory: Directory, _ options: OpenOptions, _ permissions: UInt16,
    _ credentials: Credentials, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Inode {
    if position.isDots || position.mustBeDirectory { throw .isADirectory(position.text) }
    if let found = try await directory.find(position.name, ticket) {
      if options.contains(.exclusive) { throw .exists(position.text) }
      defer { ticket.unpin(found.block) }
      let (inode, table) = try await core.inodes.acquireWithTable(found.entry.inode, ticket)
      if let table { ticket.unpin(table) }
      return inode
    }
    let new = newInode(.regular, permissions, credentials)
    let inode = try await make(new, position, directory, ticket)
    return inode
  }

  private func newInode(_ type: InodeType, _ permissions: UInt16, _ credentials: Credentials) -> NewInode {
    NewInode(
      type: type, permissions: permissions & 0o7777, owner: credentials, generation: core.nextGeneration(),
      umask: credentials.umask, takesGroupOfDirectory: core.options.takesGroupOfDirectory)
  }

  /// Makes an inode at a position whose name is not taken.
  private func make(
    _ new: NewInode, _ position: Position, _ directory: Directory, _ ticket: MetadataTicket
  ) async throws(Ext2Error) -> Inode {
    try directory.inode.checkMayChangeNames(position.text, removes: false)
    let inode = try await directory.make(new, named: position.name, position.text, core.attributes, ticket)
    do throws(Ext2Error) { try await makeDurableIfAsked([inode, directory.inode]) } catch {
      core.inodes.release(inode)
      throw error
    }
    return inode
  }

  private func makeHere(
    _ path: [UInt8], _ type: InodeType, _ device: DeviceNumber, _ permissions: UInt16, _ target: [UInt8],
    _ credentials: Credentials
  ) async throws(Ext2Error) {
    try await changing(as: credentials) { ticket async throws(Ext2Error) in
      try await withParent(of: path, ticket) { position, directory async throws(Ext2Error) in
        if position.isDots { throw .exists(position.text) }
        if let found = try await directory.find(position.name, ticket) {
          ticket.unpin(found.block)
          throw .exists(position.text)
        }
        if position.mustBeDirectory && type != .directory { throw .notFound(position.text) }
        var new = newInode(type, permissions, credentials)
        new.device = device
        if type == .symbolicLink {
          guard !target.isEmpty else { throw .notFound(position.text) }
          guard !target.contains(0) else { throw .invalidName(position.text) }
          guard target.count < core.groups.layout.blockSize else { throw .nameTooLong(position.text) }
          new.target = target
        }
        core.inodes.release(try await make(new, position, directory, ticket))
      }
    }
  }

  /// Takes the reference over.
  private func addOpening(of inode: Inode, _ text: String, _ credentials: Credentials) throws(Ext2Error) -> Int {
    guard inode.type == .regular else {
      let type = inode.type
      core.inodes.release(inode)
      if type == .symbolicLink { throw .tooManySymbolicLinks(text) }
      throw type == .directory ? .isADirectory(text) : .notARegularFile(text)
    }
    return addHandle(OpenFile(inode, credentials, volumeErrors: core.errors.sample()))
  }
}
