package import Ext2Format

/// The features of a new volume, by the names that e2fsprogs gives them.
public struct FeatureSet: Equatable, Sendable {
  package var compatible: CompatibleFeatures = []
  package var incompatible: IncompatibleFeatures = []
  package var readOnlyCompatible: ReadOnlyCompatibleFeatures = []

  /// No feature, as in revision 0.
  public init() {}

  /// What `mke2fs -t ext2` gives a volume of revision 1 (`base_features` of its built-in profile).
  public static let standard: FeatureSet = {
    var set = FeatureSet()
    set.compatible = [.extendedAttributes, .resizeInode, .directoryIndex]
    set.incompatible = [.fileType]
    set.readOnlyCompatible = [.sparseSuper, .largeFile]
    return set
  }()

  /// The names of the features that a new volume can have.
  public static let knownNames = known.map(\.name)

  // has_journal is not among them: a journal is ext3.
  private static let known: [(name: String, set: FeatureSet)] = [
    ("dir_index", .init(.directoryIndex)), ("ext_attr", .init(.extendedAttributes)), ("filetype", .init(.fileType)),
    ("large_file", .init(.largeFile)), ("meta_bg", .init(.metaBlockGroups)), ("resize_inode", .init(.resizeInode)),
    ("sparse_super", .init(.sparseSuper)),
  ]

  private init(_ feature: CompatibleFeatures) { compatible = feature }
  private init(_ feature: IncompatibleFeatures) { incompatible = feature }
  private init(_ feature: ReadOnlyCompatibleFeatures) { readOnlyCompatible = feature }

  /// Whether there is none.
  public var isEmpty: Bool { compatible.isEmpty && incompatible.isEmpty && readOnlyCompatible.isEmpty }

  /// Changes the set by a list with commas, as `mke2fs -O` does: `name` adds a feature, `^name` takes it away, `none`
  /// takes all away. Throws `unknownFeature` with the first name that is not among `knownNames`.
  public mutating func edit(_ list: String) throws(MakeError) {
    for word in list.split(whereSeparator: { $0 == "," || $0 == " " || $0 == "\t" }) {
      if word == "none" {
        self = FeatureSet()
        continue
      }
      let isRemoval = word.hasPrefix("^") || word.hasPrefix("-")
      let name = word.drop { $0 == "^" || $0 == "-" || $0 == "+" }
      guard let feature = Self.known.first(where: { $0.name == name })?.set else {
        throw .unknownFeature(String(name))
      }
      if isRemoval {
        compatible.subtract(feature.compatible)
        incompatible.subtract(feature.incompatible)
        readOnlyCompatible.subtract(feature.readOnlyCompatible)
      } else {
        compatible.formUnion(feature.compatible)
        incompatible.formUnion(feature.incompatible)
        readOnlyCompatible.formUnion(feature.readOnlyCompatible)
      }
    }
  }
}
