/// What is wrong with a log that a job replays: where, and what was expected there. The run does not begin.
package struct TraceError: Error, Sendable, Equatable {
  package let path: String
  /// Of a text, counted from 1; nil: the log as a whole.
  package let line: Int?
  package let problem: Problem

  package enum Problem: Sendable, Equatable {
    /// It begins as no log that we know.
    case unknownFormat
    case blktrace
    case lineTooLong(limit: Int)
    /// Words of the line that are none of the format's.
    case malformed(version: Int)
    case unknownAction(String, version: Int)
    case waitInVersion3
    case notANumber(String)
    case timeTooLarge(limit: UInt64)
    case nameNotText
    case nameNotAdded(String)
    case tooManyNames(limit: Int)
    case tooManyEntries(limit: Int)
    case badLength(UInt64, limit: UInt64)
    case notSectors(offset: UInt64, length: UInt64)
    case pastAnyDevice(offset: UInt64)
    case nothingToReplay
    case unreadable(String)
  }

  init(_ path: String, line: Int? = nil, _ problem: Problem) {
    self.path = path
    self.line = line
    self.problem = problem
  }
}

extension TraceError: CustomStringConvertible {
  package var description: String { "\(path)\(line.map { ":\($0)" } ?? ""): \(problem)" }
}

extension TraceError.Problem: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unknownFormat:
      "is no log to replay: expected 'fio version 2 iolog' or 'fio version 3 iolog' in its first line, or a log of writes "
        + "(--write-log)"
    case .blktrace: "is a binary trace of blktrace, which is not read here: expected fio's iolog or a log of writes"
    case .lineTooLong(let limit): "is longer than \(limit) bytes"
    case .malformed(2): "expected 'FILE add|open|close', or 'FILE ACTION OFFSET LENGTH'"
    case .malformed: "expected 'MICROSECONDS FILE add|open|close', or 'MICROSECONDS FILE ACTION OFFSET LENGTH'"
    case .unknownAction(let word, let version):
      "'\(word)' is no action: expected \(version == 2 ? "wait, " : "")read, write, trim, sync, datasync, add, open or close"
    case .waitInVersion3: "wait is an action of version 2; in version 3 each line has its time"
    case .notANumber(let word): "'\(word)': expected a number"
    case .timeTooLarge(let limit): "expected a time of at most \(limit) microseconds"
    case .nameNotText: "the file's name is not UTF-8"
    case .nameNotAdded(let name): "'\(shown(name))' was not added: expected a line with 'add' before"
    case .tooManyNames(let limit): "names more than \(limit) files"
    case .tooManyEntries(let limit): "has more than \(limit) operations, which is what is kept in memory; split the log"
    case .badLength(let length, let limit): "expected a length from 1 to \(limit), not \(length)"
    case .notSectors(let offset, let length):
      "offset \(offset) and length \(length): expected multiples of 512 (replay_align=512 moves offsets down)"
    case .pastAnyDevice(let offset): "byte \(offset): expected an end below 2^50 (1 PiB)"
    case .nothingToReplay: "has no operation to replay"
    case .unreadable(let reason): reason
    }
  }
}
