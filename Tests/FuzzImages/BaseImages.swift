import Ext2Tools
import Glibc
import Reactor
import Support

/// The images that are changed: the clean ones of a folder, and where their fields lie.
struct BaseImages {
  struct Image {
    let name: String
    let hash: UInt32
    let bytes: [UInt8]
    let fields: VolumeFields
    /// Those of the fields that hold the number of a block in use.
    let pointers: [Field]

    init(name: String, bytes: [UInt8], fields: VolumeFields) {
      self.name = name
      hash = BaseImages.hash(name)
      self.bytes = bytes
      self.fields = fields
      pointers = fields.fields.filter { field in
        // The words of i_block, and the entries of pointer blocks.
        let isPointer = field.what.contains("pointer block") || (88...96).contains(Self.inodeOffset(field.what) ?? 0)
        return isPointer && (0..<field.width).contains { bytes[field.offset + $0] != 0 }
      }
    }

    /// The offset in an inode of a field that is called `inode 12 +40`.
    private static func inodeOffset(_ what: String) -> Int? {
      let parts = what.split(separator: " ")
      return parts.count == 3 && parts[0] == "inode" && parts[2].hasPrefix("+") ? Int(parts[2].dropFirst()) : nil
    }
  }
  struct Failure: Error, CustomStringConvertible { let description: String }

  /// In the order of their names.
  let images: [Image]

  /// Larger ones take longer, and are drawn less often.
  private let small: [Image]

  init(folder: String) throws {
    var images: [Image] = []
    guard let directory = unsafe opendir(folder) else { throw Failure(description: "\(folder): cannot be read") }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    let checker = VolumeChecker()
    for name in names.sorted() {
      let bytes = try TemporaryFile.read("\(folder)/\(name)")
      guard let report = try? checker.check(MemoryBytes(bytes)), report.isClean,
        let fields = try? VolumeFields(bytes)
      else { continue }
      images.append(Image(name: name, bytes: bytes, fields: fields))
    }
    guard !images.isEmpty else { throw Failure(description: "\(folder): no clean images there") }
    self.images = images
    let small = images.filter { $0.bytes.count <= 1 << 20 }
    self.small = small.isEmpty ? images : small
  }

  /// The one with that hash, or another one if there is none.
  func image(withHash hash: UInt32) -> Image {
    images.first { $0.hash == hash } ?? images[Int(hash) % images.count]
  }

  func any(using generator: inout SeededGenerator) -> Image {
    let from = generator.oneIn(8) ? images : small
    return from[generator.below(from.count)]
  }

  /// FNV-1a.
  static func hash(_ name: String) -> UInt32 {
    name.utf8.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
  }
}
