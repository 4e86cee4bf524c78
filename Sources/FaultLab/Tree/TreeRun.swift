// A sequence of operations on a volume, step by step compared with a model; and the shortest one that still fails.
package import BlockDevice
package import Ext2
internal import Ext2Format
package import Reactor
internal import SystemPackage

/// Where the two differ.
package struct TreeDifference: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
  package init(description: String) { self.description = description }
}

/// Runs operations on a volume that begins empty. Confined to its volume's reactor or to one task.
package struct TreeRun {
  package let blockSize: Int
  package let reactor: Reactor
  package let options: VolumeOptions
  /// Opens the device with the volume on it, each time it is mounted.
  package let device: () throws -> sending any BlockDevice
  /// Looks at what an unmount has left, and at what the tree should be. The volume's device can be looked at still.
  package let judge: (Volume, TreeModel) async throws -> Void

  package init(
    blockSize: Int, reactor: Reactor, options: VolumeOptions, device: @escaping () throws -> sending any BlockDevice,
    judge: @escaping (Volume, TreeModel) async throws -> Void
  ) {
    self.blockSize = blockSize
    self.reactor = reactor
    self.options = options
    self.device = device
    self.judge = judge
  }

  /// Runs all operations, then unmounts and judges. Throws `TreeDifference` at the first difference.
  package func run(_ operations: [TreeOperation]) async throws {
    let model = TreeModel(blockSize: blockSize)
    var volume = try await mount()
    do {
      for (index, operation) in operations.enumerated() {
        do throws(TreeDifference) {
          try await step(operation, volume, model)
        } catch {
          throw TreeDifference(description: "operation \(index), \(operation): \(error)")
        }
        if operation == .remount {
          try await TreeComparison(volume, model).compare()
          try await volume.unmount()
          try await judge(volume, model)
          volume = try await mount()
        }
      }
      try await TreeComparison(volume, model).compare()
    } catch {
      try? await volume.unmount()
      throw error
    }
    try await volume.unmount()
    try await judge(volume, model)
    // Cold.
    volume = try await mount()
    do { try await TreeComparison(volume, model).compare() } catch {
      try? await volume.unmount()
      throw error
    }
    try await volume.unmount()
  }

  private func mount() async throws -> Volume {
    try await Volume.mount(try device(), on: reactor, options: options)
  }

  private func step(_ operation: TreeOperation, _ volume: Volume, _ model: TreeModel) async throws(TreeDifference) {
    var found: Ext2Error?
    var shortCount: Int?
    do throws(Ext2Error) { shortCount = try await apply(operation, to: volume) } catch { found = error }
    if case .corrupt = found { throw TreeDifference(description: "\(found.map { "\($0)" } ?? "")") }
    if case .noSpace = found {
      noteLostHoles(operation, model)
      return
    }
    var expected: Errno?
    if let shortCount {
      do throws(Errno) { try model.applyShort(operation, count: shortCount) } catch { expected = error }
    } else {
      do throws(Errno) { try model.apply(operation) } catch { expected = error }
    }
    guard found?.errno == expected else {
      throw TreeDifference(
        description:
          "the volume says \(found.map { "\($0)" } ?? "nothing"), the model \(expected.map { "\($0)" } ?? "nothing")")
    }
  }

  /// Space ran out in the middle of an allocation: the file may have some of the blocks.
  private func noteLostHoles(_ operation: TreeOperation, _ model: TreeModel) {
    switch operation {
    case .zero(let path, _, _), .allocate(let path, _):
      (try? model.node(at: path, follows: true))?.isUnknown = true
    default: break
    }
  }

  /// Returns how many bytes a write wrote when that is fewer than all.
  private func apply(_ operation: TreeOperation, to volume: Volume) async throws(Ext2Error) -> Int? {
    switch operation {
    case .makeFile(let path, let permissions):
      let file = try await volume.open(path, [.create, .exclusive, .noFollow], permissions: permissions)
      await file.close()
    case .makeDirectory(let path, let permissions): try await volume.makeDirectory(path, permissions: permissions)
    case .makeSymbolicLink(let path, let target): try await volume.makeSymbolicLink(path, to: target)
    case .makeNode(let path, let type, let major, let minor):
      try await volume.makeNode(path, type, device: DeviceNumber(major: major, minor: minor))
    case .link(let path, let newPath): try await volume.link(path, to: newPath)
    case .unlink(let path): try await volume.unlink(path)
    case .removeDirectory(let path): try await volume.removeDirectory(path)
    case .rename(let path, let newPath, let noReplace):
      try await volume.rename(path, to: newPath, noReplace ? .noReplace : [])
    case .write(let path, let offset, let count, let stamp):
      let written = try await with(volume, path) { file async throws(Ext2Error) in
        try await file.write(TreeModel.bytes(stamp, count), at: offset)
      }
      return written < count ? written : nil
    case .truncate(let path, let size):
      try await with(volume, path) { file async throws(Ext2Error) in try await file.truncate(to: size) }
    case .punch(let path, let range):
      try await with(volume, path) { file async throws(Ext2Error) in
        try await file.fallocate([.punchHole, .keepSize], range)
      }
    case .zero(let path, let range, let keepSize):
      try await with(volume, path) { file async throws(Ext2Error) in
        try await file.fallocate(keepSize ? [.zeroRange, .keepSize] : .zeroRange, range)
      }
    case .allocate(let path, let range):
      try await with(volume, path) { file async throws(Ext2Error) in try await file.fallocate([], range) }
    case .changeMode(let path, let permissions):
      try await volume.change(path, StatusChanges(permissions: permissions))
    case .changeOwner(let path, let user, let group):
      try await volume.change(path, StatusChanges(user: user, group: group))
    case .setTimes(let path, let seconds, let nanoseconds):
      let time = CalendarTime(seconds: seconds, nanoseconds: nanoseconds)
      try await volume.change(path, StatusChanges(accessTime: time, modificationTime: time))
    case .synchronizeFile(let path): try await volume.synchronize(path)
    case .synchronize: try await volume.synchronize()
    case .remount: break
    }
    return nil
  }

  private func with<R>(
    _ volume: Volume, _ path: [UInt8], _ body: (File) async throws(Ext2Error) -> R
  ) async throws(Ext2Error) -> R {
    let file = try await volume.open(path)
    do throws(Ext2Error) {
      let result = try await body(file)
      await file.close()
      return result
    } catch {
      await file.close()
      throw error
    }
  }
}

/// The shortest sequence that can be found which still fails: parts of it are left out, large ones first (Zeller and
/// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
package func shrink<Element>(_ sequence: [Element], runLimit: Int = 400, fails: ([Element]) -> Bool) -> [Element] {
  var sequence = sequence
  var runs = 0
  var length = max(1, sequence.count / 2)
  while true {
    var start = 0
    while start < sequence.count, runs < runLimit {
      var shorter = sequence
      shorter.removeSubrange(start..<min(sequence.count, start + length))
      runs += 1
      if fails(shorter) { sequence = shorter } else { start += length }
    }
    if length == 1 || runs >= runLimit { return sequence }
    length = max(1, length / 2)
  }
}
