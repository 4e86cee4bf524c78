/// The program's version (see CHANGELOG.md).
enum Version {
  static let current = "0.1.0"
}
