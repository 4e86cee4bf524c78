/// Where an option was written, so that an error can name the place the user has to change.
package enum SourceLocation: Sendable, Hashable {
  /// A line of a job file, counted from 1.
  case file(String, line: Int)
  /// The arguments of the command.
  case commandLine
}

extension SourceLocation: CustomStringConvertible {
  package var description: String {
    switch self {
    case .file(let path, let line): "\(path):\(line)"
    case .commandLine: "command line"
    }
  }
}
