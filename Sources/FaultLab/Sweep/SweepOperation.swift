package import Ext2
internal import PageCache

/// What an operation works on.
package struct SweepTarget: Sendable {
  package let volume: Volume
  /// The operation's file, opened twice before any request fails.
  package let file: File?
  package let other: File?
}

/// One public operation of the volume, on the tree that sweeps begin with.
package struct SweepOperation: Sendable {
  package typealias Body = @Sendable (SweepTarget) async throws -> Void
  /// The name for `--operation`.
  package let name: String
  /// The file that is open.
  var file: String?
  /// What is done before, without any fault.
  var given: Body?
  let run: Body
  /// How the volume is mounted, where it matters.
  var options: (@Sendable (inout VolumeOptions) -> Void)?
  /// What it has made durable when it returns.
  var persistence: [Persistence] = []
  /// Where it fails, part of a file may be new.
  var isPiecewise = false
  /// Where it fails, it may be done all the same: it makes durable what it has done.
  var mayBeDone = false
  /// Nothing can be changed after it.
  var leavesUnchangeable = false
  /// It frees blocks whose pointers it has to read: where it cannot, they are lost until a check, as with the kernel's ext2
  /// (fs/ext2/inode.c, ext2_free_branches), and the volume is not clean.
  var frees = false
  /// Where it fails, *not clean* may have reached the disk.
  var mayMark = false
  var phases = SweepPoint.Phase.allCases

  init(_ name: String, file: String? = nil, _ run: @escaping Body) {
    self.name = name
    self.file = file
    self.run = run
  }

  /// The operation with something changed.
  func with(_ change: (inout Self) -> Void) -> Self {
    var copy = self
    change(&copy)
    return copy
  }
}

/// What a call returned is not what is there.
struct WrongAnswer: Error, CustomStringConvertible {
  let description: String
  static func unless(_ isRight: Bool, _ what: String) throws {
    if !isRight { throw WrongAnswer(description: what) }
  }
}
