#if canImport(Glibc)
  import Glibc
#endif

/// Texts of the program that are kept under Tests/Golden, so that a change of one is seen in what is committed.
public enum GoldenFile {
  private static let folder =
    #filePath.split(separator: "/").dropLast(2).map { "/\($0)" }.joined() + "/Golden/"

  /// What is kept under that name. `WRITE_GOLDEN=1` keeps the text that the program has now; what has changed is then looked
  /// at by hand.
  public static func text(_ name: String, now text: String) throws -> String {
    if unsafe getenv("WRITE_GOLDEN") != nil, let file = unsafe fopen(folder + name, "w") {
      unsafe fputs(text, file)
      unsafe fclose(file)
    }
    return String(decoding: try TemporaryFile.read(folder + name), as: UTF8.self)
  }
}
