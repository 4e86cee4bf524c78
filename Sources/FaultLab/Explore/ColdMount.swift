internal import Ext2
internal import Logging

extension VolumeOptions {
  /// For whoever looks at what a run has left.
  static var cold: VolumeOptions {
    var options = VolumeOptions()
    options.isReadOnly = true
    options.logger.logLevel = .critical
    return options
  }
}
