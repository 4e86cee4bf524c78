internal import Ext2
package import Ext2Format

/// One operation on a tree of files. Its description is a line of a script for `blkdev-run fs IMAGE -`.
package enum TreeOperation: Equatable, Sendable {
  case makeFile([UInt8], permissions: UInt16)
  case makeDirectory([UInt8], permissions: UInt16)
  case makeSymbolicLink([UInt8], target: [UInt8])
  case makeNode([UInt8], InodeType, major: UInt32, minor: UInt32)
  case link([UInt8], [UInt8])
  case unlink([UInt8])
  case removeDirectory([UInt8])
  case rename([UInt8], [UInt8], noReplace: Bool)
  case write([UInt8], offset: UInt64, count: Int, stamp: UInt8)
  case truncate([UInt8], UInt64)
  case punch([UInt8], Range<UInt64>)
  case zero([UInt8], Range<UInt64>, keepSize: Bool)
  case allocate([UInt8], Range<UInt64>)
  case changeMode([UInt8], UInt16)
  case changeOwner([UInt8], user: UInt32, group: UInt32)
  case setTimes([UInt8], seconds: Int64, nanoseconds: UInt32)
  case synchronizeFile([UInt8])
  case synchronize
  /// Unmount, let the judges look, and mount again.
  case remount
}

extension TreeOperation: CustomStringConvertible {
  package var description: String {
    switch self {
    case .makeFile(let path, let permissions): "touch \(quoted(path))\nchmod \(octal(permissions)) \(quoted(path))"
    case .makeDirectory(let path, let permissions): "mkdir -m \(octal(permissions)) \(quoted(path))"
    case .makeSymbolicLink(let path, let target): "ln -s \(quoted(target)) \(quoted(path))"
    case .makeNode(let path, let type, let major, let minor):
      switch type {
      case .fifo: "mknod \(quoted(path)) p"
      case .socket: "mknod \(quoted(path)) s"
      case .blockDevice: "mknod \(quoted(path)) b \(major) \(minor)"
      default: "mknod \(quoted(path)) c \(major) \(minor)"
      }
    case .link(let path, let newPath): "ln \(quoted(path)) \(quoted(newPath))"
    case .unlink(let path): "rm \(quoted(path))"
    case .removeDirectory(let path): "rmdir \(quoted(path))"
    case .rename(let path, let newPath, let noReplace):
      "mv \(noReplace ? "-n " : "")\(quoted(path)) \(quoted(newPath))"
    case .write(let path, let offset, let count, let stamp):
      "fill -o \(offset) -l \(count) -s \(stamp) \(quoted(path))"
    case .truncate(let path, let size): "truncate -s \(size) \(quoted(path))"
    case .punch(let path, let range): "fallocate -p -o \(range.lowerBound) -l \(range.count) \(quoted(path))"
    case .zero(let path, let range, let keepSize):
      "fallocate -z\(keepSize ? " -n" : "") -o \(range.lowerBound) -l \(range.count) \(quoted(path))"
    case .allocate(let path, let range): "fallocate -o \(range.lowerBound) -l \(range.count) \(quoted(path))"
    case .changeMode(let path, let permissions): "chmod \(octal(permissions)) \(quoted(path))"
    case .changeOwner(let path, let user, let group): "chown \(user):\(group) \(quoted(path))"
    case .setTimes(let path, let seconds, let nanoseconds):
      "touch -d @\(seconds).\(padded(nanoseconds)) \(quoted(path))"
    case .synchronizeFile(let path): "fsync \(quoted(path))"
    case .synchronize: "sync"
    case .remount: "remount"
    }
  }

  private func octal(_ permissions: UInt16) -> String { String(permissions, radix: 8) }
  private func padded(_ nanoseconds: UInt32) -> String {
    let digits = String(nanoseconds)
    return String(repeating: "0", count: 9 - digits.count) + digits
  }

  /// A word that a script reads as these bytes.
  private func quoted(_ path: [UInt8]) -> String {
    let isPlain = path.allSatisfy { byte in
      (0x2B...0x3A).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
    }
    if isPlain { return String(decoding: path, as: UTF8.self) }
    let escaped = path.map { byte in
      if byte == 0x27 || byte == 0x5C { return "\\" + String(UnicodeScalar(byte)) }
      if (0x20...0x7E).contains(byte) { return String(UnicodeScalar(byte)) }
      return "\\x" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }
    return "$'" + escaped.joined() + "'"
  }
}
