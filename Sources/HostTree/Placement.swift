// A file appears whole or not at all: one that replaces another is made under a name of its own and then renamed.
package import Ext2
internal import Ext2Format

/// Makes files on a volume.
package struct Placement {
  let volume: Volume
  let credentials: Credentials

  /// - Parameter credentials: who owns what is made.
  package init(volume: Volume, credentials: Credentials) {
    self.volume = volume
    self.credentials = credentials
  }

  /// Makes a regular file at a path and lets `fill` write it, which is told the name that it has meanwhile. When that fails
  /// nothing is left, and what had the name before is still there.
  func placeFile(
    _ path: [UInt8], _ fill: (File, [UInt8]) async throws(TreeError) -> Void
  ) async throws(TreeError) {
    try await place(path) { name async throws(Ext2Error) -> File in
      try await volume.open(name, [.create, .exclusive, .noFollow], permissions: 0o600, as: credentials)
    } fill: { (file: File, name: [UInt8]) async throws(TreeError) in
      do throws(TreeError) {
        try await fill(file, name)
        await file.close()
      } catch {
        await file.close()
        throw error
      }
    }
  }

  /// Makes anything else but a directory at a path. What had the name before is replaced, unless it is a directory or is to
  /// stay, which is an error then.
  package func placeNode(
    _ path: [UInt8], replaces: Bool = true, _ make: ([UInt8]) async throws(Ext2Error) -> Void
  ) async throws(TreeError) {
    if !replaces { return try await at(path) { () async throws(Ext2Error) in try await make(path) } }
    try await place(path, make: make, fill: { _, _ in })
  }

  private func place<R>(
    _ path: [UInt8], make: ([UInt8]) async throws(Ext2Error) -> R,
    fill: (R, [UInt8]) async throws(TreeError) -> Void
  ) async throws(TreeError) {
    var name = path
    let made: R
    do throws(Ext2Error) {
      made = try await make(path)
    } catch {
      guard case .exists = error else { throw TreeError(path, .volume(error)) }
      (name, made) = try await makeBeside(path, make)
    }
    do throws(TreeError) {
      try await fill(made, name)
      if name != path { try await at(path) { () async throws(Ext2Error) in try await volume.rename(name, to: path) } }
    } catch {
      try? await volume.unlink(name)
      throw error
    }
  }

  /// Makes it under a name that nobody has, in the directory of the one that it is to replace.
  private func makeBeside<R>(
    _ path: [UInt8], _ make: ([UInt8]) async throws(Ext2Error) -> R
  ) async throws(TreeError) -> ([UInt8], R) {
    let old = try await at(path) { () async throws(Ext2Error) in
      try await volume.status(of: path, followsLink: false)
    }
    if old.type == .directory { throw TreeError(path, .volume(.isADirectory(""))) }
    var number = 0
    while true {
      let name = path.parentPath.appending(Array(".blkdev-new-\(number)".utf8))
      do throws(Ext2Error) { return (name, try await make(name)) } catch {
        guard case .exists = error else { throw TreeError(path, .volume(error)) }
        number += 1
      }
    }
  }
}

extension Volume {
  /// Where a path leads when what it names is a symbolic link, if only to a name that does not exist yet.
  package func followed(_ path: [UInt8]) async throws(TreeError) -> [UInt8] {
    var path = path
    // As many as the volume itself follows.
    for _ in 0...40 {
      guard let status = try? await status(of: path, followsLink: false), status.type == .symbolicLink else {
        return path
      }
      let link = path
      let target = try await at(link) { () async throws(Ext2Error) in try await symbolicLinkTarget(link) }
      path = target.first == UInt8(ascii: "/") ? target : link.parentPath.appending(target)
    }
    throw TreeError(path, .volume(.tooManySymbolicLinks("")))
  }
}
