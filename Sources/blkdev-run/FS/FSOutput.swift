internal import HostTree
internal import SystemPackage

/// Standard output, in pieces. What cannot be written any more ends the command.
final class FSOutput {
  private var buffer: [UInt8] = []
  private let isSilent: Bool
  init(isSilent: Bool) { self.isSilent = isSilent }
  private static let limit = 1 << 16
  /// For what writes large pieces itself; `flush` first.
  let file = FileDescriptor.standardOutput

  /// Prints a line.
  func line(_ text: String) throws(FSError) {
    buffer += text.utf8
    buffer.append(UInt8(ascii: "\n"))
    if buffer.count >= Self.limit { try flush() }
  }

  /// Writes bytes as they are.
  func write(_ bytes: [UInt8]) throws(FSError) {
    buffer += bytes
    if buffer.count >= Self.limit { try flush() }
  }

  /// Hands over what is held.
  func flush() throws(FSError) {
    defer { buffer.removeAll(keepingCapacity: true) }
    if isSilent { return }
    do { try file.writeAll(buffer) } catch {
      throw .failed(TreeError("standard output", .output(error as? Errno ?? .ioError)))
    }
  }
}
