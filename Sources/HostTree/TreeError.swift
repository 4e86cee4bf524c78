package import Ext2
package import SystemPackage

/// Why something of a tree could not be copied: where, and why.
package struct TreeError: Error, Sendable {
  /// What went wrong there.
  package enum Cause: Sendable {
    /// A call of this machine failed: which step, and why.
    case host(step: String, Errno)
    /// The volume refused.
    case volume(Ext2Error)
    /// It cannot be copied as it is; the rest of the sentence.
    case unfit(String)
    /// What is printed can go nowhere any more.
    case output(Errno)
    /// Somebody asked to stop.
    case interrupted
  }
  /// The path, on this machine or on the volume, as text that is safe to print.
  package let path: String
  /// Why.
  package let cause: Cause

  package init(_ path: String, _ cause: Cause) {
    self.path = path
    self.cause = cause
  }
  /// An error at a path of bytes, which need not be text.
  package init(_ path: [UInt8], _ cause: Cause) {
    self.init(ShellWords.quotedIfNeeded(path), cause)
  }

  /// Whether nothing after it can succeed either.
  var endsEverything: Bool {
    switch cause {
    case .output, .interrupted, .volume(.closed), .volume(.readOnly), .volume(.noSpace): true
    default: false
    }
  }
}

extension TreeError: CustomStringConvertible {
  package var description: String {
    switch cause {
    case .host(let step, let errno): "\(path): \(step): \(errno)"
    case .volume(let error): "\(path): \(error.reason)"
    case .unfit(let reason): "\(path): \(reason)"
    case .output(let errno): "\(path): \(errno)"
    case .interrupted: "interrupted"
    }
  }
}

extension Ext2Error {
  /// Why, without the path that some of the errors carry: for messages that name it themselves.
  package var reason: String {
    switch self {
    case .notFound: "no such file or directory"
    case .exists: "file exists"
    case .notADirectory: "not a directory"
    case .isADirectory: "is a directory"
    case .notARegularFile: "not a regular file"
    case .notASymbolicLink: "not a symbolic link"
    case .invalidName: "invalid argument: not a name"
    case .nameTooLong: "file name too long"
    case .notEmpty: "directory not empty"
    case .intoItself: "invalid argument: a directory cannot move into itself"
    case .busy: "device or resource busy"
    case .tooManyLinks: "too many links"
    case .tooManySymbolicLinks: "too many levels of symbolic links"
    case .notPermitted: "operation not permitted"
    case .noSpace: "no space left on device"
    case .readOnly: "read-only file system"
    case .fileTooLarge(_, let limit): "file too large: at most \(limit) bytes here"
    default: description
    }
  }
}

/// Runs a call on the volume; its error becomes one at a path.
func at<R>(_ path: [UInt8], _ body: () async throws(Ext2Error) -> R) async throws(TreeError) -> R {
  do { return try await body() } catch { throw TreeError(path, .volume(error)) }
}
