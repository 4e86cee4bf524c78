internal import Ext2
internal import Ext2Format
internal import HostTree
internal import Reactor

/// How ls prints.
struct ListStyle {
  private enum Order { case name, time, size, disk }

  let isLong: Bool
  let isRecursive: Bool
  /// Directories as names, not what is in them.
  let namesOnly: Bool
  private let isReversed: Bool
  private let order: Order
  private let showsAll: Bool
  private let showsHidden: Bool
  private let showsInodes: Bool
  private let showsFullTime: Bool
  private let isLiteral: Bool

  init(_ arguments: VerbArguments) {
    showsFullTime = arguments.has("full-time")
    isLong = arguments.has("l") || arguments.has("n") || showsFullTime
    isRecursive = arguments.has("R")
    namesOnly = arguments.has("d")
    isReversed = arguments.has("r")
    switch arguments.last(of: ["t", "S", "U"]) {
    case "t": order = .time
    case "S": order = .size
    case "U": order = .disk
    default: order = .name
    }
    showsAll = arguments.has("a")
    showsHidden = showsAll || arguments.has("A")
    showsInodes = arguments.has("i")
    isLiteral = arguments.has("N")
  }

  /// Whether a directory's name is listed.
  func shows(_ name: [UInt8]) -> Bool {
    if name == Array(".".utf8) || name == Array("..".utf8) { return showsAll }
    return showsHidden || name.first != UInt8(ascii: ".")
  }

  /// A file with what this style prints of it.
  func listed(
    _ volume: Volume, _ path: [UInt8], _ name: [UInt8], _ status: FileStatus
  ) async throws(FSError) -> FSCommand.Listed {
    isLong ? try await .withList(volume, path, name, status) : try await .init(volume, path, name, status)
  }

  /// The files in the order that they are printed in; those that are equal in it by name.
  func sorted(_ files: [FSCommand.Listed]) -> [FSCommand.Listed] {
    if case .disk = order { return isReversed ? files.reversed() : files }
    let sorted = files.sorted(by: precedes)
    return isReversed ? sorted.reversed() : sorted
  }

  private func precedes(_ left: FSCommand.Listed, _ right: FSCommand.Listed) -> Bool {
    let one = left.status, other = right.status
    switch order {
    case .time where one.modificationTime != other.modificationTime:
      return one.modificationTime > other.modificationTime
    case .size where one.byteCount != other.byteCount: return one.byteCount > other.byteCount
    default: return left.name.lexicographicallyPrecedes(right.name)
    }
  }

  /// A name, so that a shell and our scripts read it back; raw with -N.
  func text(_ name: [UInt8]) -> String {
    isLiteral ? String(decoding: name, as: UTF8.self) : ShellWords.quotedIfNeeded(name)
  }

  /// Prints one line a file.
  func print(_ files: [FSCommand.Listed], _ output: FSOutput) throws(FSError) {
    let rows = files.map(columns)
    let lines = aligned(rows, leftColumns: isLong ? [showsInodes ? 1 : 0] : [])
    for (line, file) in zip(lines, files) {
      // The name last and as it is: with -N it need not be text.
      try output.write(Array((line.isEmpty ? "" : line + " ").utf8))
      try output.write(isLiteral ? file.name : Array(text(file.name).utf8))
      if isLong, let target = file.target {
        try output.write(Array(" -> ".utf8))
        try output.write(isLiteral ? target : Array(text(target).utf8))
      }
      try output.write([UInt8(ascii: "\n")])
    }
  }

  private func columns(_ file: FSCommand.Listed) -> [String] {
    let status = file.status
    var columns = showsInodes ? ["\(status.inode)"] : []
    guard isLong else { return columns }
    let size = status.device.map { "\($0.major), \($0.minor)" } ?? "\(status.byteCount)"
    let time = status.modificationTime
    columns += [
      modeText(status.type, status.permissions) + (file.hasList ? "+" : ""), "\(status.linkCount)", "\(status.user)",
      "\(status.group)", size,
      showsFullTime ? time.fullText : time.minuteText,
    ]
    return columns
  }
}
