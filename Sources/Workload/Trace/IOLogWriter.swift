internal import BlockDevice

/// Writes what a copy of a job does as fio does with `write_iolog`: version 3, times in microseconds after the copy's
/// start, each operation when it begins.
final class IOLogWriter {
  private let file: LogFile
  private let names: [String]

  init(path: String, names: [String]) throws(TraceError) {
    try LogFile.make(path)
    file = LogFile(path: path)
    self.names = names
    file.line("fio version 3 iolog")
    for name in names { file.line("0 \(name) add") }
    for name in names { file.line("0 \(name) open") }
  }

  func note(_ step: Step, nanoseconds: UInt64) {
    let action =
      switch step.operation {
      case .read: "read"
      case .write, .writeZeroes: "write"
      case .discard: "trim"
      case .flush: step.isDataOnly ? "datasync" : "sync"
      }
    file.line("\(nanoseconds / 1000) \(names[step.file]) \(action) \(step.offset) \(step.byteCount)")
  }

  /// The copy has ended.
  func end(nanoseconds: UInt64) {
    for name in names { file.line("\(nanoseconds / 1000) \(name) close") }
    file.flush()
  }

  /// What of it could not be written.
  var finding: Finding? { file.finding(.writeIOLog) }
}

extension Job {
  /// The log that a copy writes; nil: none. Each copy has its own.
  func iologPath(copy: Int) -> String? { iologPath.map { copies == 1 ? $0 : "\($0).\(copy)" } }

  func makeIOLog(copy: Int) throws(RunError) -> IOLogWriter? {
    guard let path = iologPath(copy: copy) else { return nil }
    let names = fileNames(copy: copy)
    // Words of a line end at blanks.
    if let bad = names.first(where: { $0.contains { $0.isWhitespace } }) {
      throw .unfit(job: name, reason: "write_iolog: the name '\(bad)' has a blank, which a log cannot hold")
    }
    do throws(TraceError) { return try IOLogWriter(path: path, names: names) } catch { throw .trace(error) }
  }
}
