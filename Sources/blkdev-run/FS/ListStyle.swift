internal import Ext2
internal import Ext2Format
internal import HostTree
internal import Reactor

/// How ls prints.
struct ListStyle {
  let isLong: Bool
  let isRecursive: Bool
  /// Directories as names, not what is in them.
  let namesOnly: Bool
  let isReversed: Bool
  let isInDiskOrder: Bool
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
    isInDiskOrder = arguments.has("U")
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
      modeText(status.type, status.permissions), "\(status.linkCount)", "\(status.user)", "\(status.group)", size,
      showsFullTime ? time.fullText : time.minuteText,
    ]
    return columns
  }
}
