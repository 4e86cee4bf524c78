internal import Glibc

/// The program's version (see CHANGELOG.md).
enum Version {
  static let current = "0.1.0"

  /// The commit that the program was built from, as tools/blkdev-run tells it; nil when somebody else started it.
  static var commit: String? { unsafe getenv("BLKDEV_COMMIT").map { unsafe String(cString: $0) } }
}
