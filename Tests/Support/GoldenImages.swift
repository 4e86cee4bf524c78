internal import Workload

#if canImport(Glibc)
  internal import Glibc
#endif

/// The images of the folder images/, and what is recorded of them.
package struct GoldenImage: Sendable, CustomStringConvertible {
  /// Its name there.
  package let name: String
  package var description: String { name }

  private static let folder: String = {
    // images/ is beside Tests/.
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(3)
    return parts.joined(separator: "/") + "/images"
  }()
  private var manifestPath: String { "\(Self.folder)/manifests/\(name)" }
  /// Of its folder: "" or "damaged/".
  private let place: String

  private static func all(_ place: String) -> [GoldenImage] {
    let output = ExternalTool("ls")?.run([folder + "/" + place])?.output ?? ""
    return output.split(separator: "\n").compactMap { line in
      line.hasSuffix(".gz") ? GoldenImage(name: String(line.dropLast(3)), place: place) : nil
    }
  }
  /// Those that are as they should be, by name.
  package static let clean = all("")
  /// Those with something wrong on purpose.
  package static let damaged = all("damaged/")

  /// The image itself.
  package func bytes() throws -> [UInt8] {
    try TemporaryFile.with(contents: []) { path in
      try Kernel.run("sh", ["-c", "gzip -dc '\(Self.folder)/\(place)\(name).gz' >'\(path)'"])
      return try TemporaryFile.read(path)
    }
  }

  /// What the kernel has read in it (`TreeListing`).
  package func manifest() throws -> TreeListing {
    let text = String(decoding: try TemporaryFile.read(manifestPath), as: UTF8.self)
    return TreeListing(lines: text.split(separator: "\n").map { String($0) })
  }

  /// Records what the kernel reads in it.
  package func record(_ listing: TreeListing) throws {
    _ = unsafe truncate(manifestPath, 0)
    try Kernel.write(Array(listing.text.utf8), to: manifestPath)
  }
}
